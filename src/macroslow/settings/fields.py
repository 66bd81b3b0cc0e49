"""The kinds of value that settings are made of, each with its own complaint and repair.

A validator here raises PydanticCustomError with a `fix` in its context; `settings.problems` turns
that into a Problem. No message quotes the value: it may be a secret in the wrong place.
"""

import re
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from ipaddress import ip_address
from types import MappingProxyType
from typing import Annotated, Final, TypeVar
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, PlainValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from macroslow.authn.addresses import read_network
from macroslow.errors import ConfigurationError
from macroslow.secretstore.reference import Reference, parse_reference

T = TypeVar("T")
LOOPBACK_NAMES: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_PLACEMENT: Final = re.compile(r"bearer|(?:header|query):[A-Za-z0-9_-]{1,64}")


def refuse(message: str, fix: str) -> PydanticCustomError:
    """A complaint about one value, with its repair."""
    return PydanticCustomError("setting", "{message}", {"message": message, "fix": fix})


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a listener on `host`."""
    if host in LOOPBACK_NAMES:
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def check_plain_http(url: str, *, allowed: bool, member: str = "base_url") -> None:
    """Refuse a destination that would get a secret or a prompt unencrypted over a network."""
    if not allowed and _is_plain_http_elsewhere(url):
        raise refuse(f"{member} is plain http to another machine", "use https, or set plain_http = true")


def _is_plain_http_elsewhere(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme == "http" and not is_loopback(parts.hostname or "")


def split_listen(listen: str) -> tuple[str, int]:
    """Host and port of "HOST:PORT" or "[IPV6]:PORT"; ValueError otherwise."""
    host, colon, port = listen.rpartition(":")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if (
        not colon
        or not bare
        or (":" in bare) != (bare is not host)
        or not port.isascii()
        or not port.isdigit()
    ):
        raise ValueError("not HOST:PORT")
    if int(port) > 65535:
        raise ValueError("port above 65535")
    return bare, int(port)


def _reference(value: object) -> Reference:
    if isinstance(value, Reference):
        return value
    try:
        return parse_reference(value if isinstance(value, str) else "")
    except ConfigurationError as error:
        raise refuse(error.detail, error.fix) from None


def _references_as_texts(value: Mapping[str, Reference]) -> dict[str, str]:
    return {name: str(reference) for name, reference in value.items()}


def _name(value: str) -> str:
    if not _NAME.fullmatch(value):
        raise refuse(
            "not a usable name", "use 1 to 63 of a-z, 0-9, _ and -, beginning with a letter or digit"
        )
    return value


def _listen(value: str) -> str:
    try:
        split_listen(value)
    except ValueError:
        raise refuse("not an address to listen on", 'write "127.0.0.1:8000" or "[::1]:8000"') from None
    return value


def _http_url(value: str, example: str) -> SplitResult:
    try:
        parts = urlsplit(value)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise refuse("not an http or https URL", f'write for example "{example}"') from None
    if parts.scheme not in {"http", "https"} or not host or not value.isascii() or not value.isprintable():
        raise refuse("not an http or https URL", f'write for example "{example}"')
    return parts


def _webhook_url(value: str) -> str:
    parts = _http_url(value, "https://hooks.example/macroslow")
    if "@" in parts.netloc or "#" in value:
        raise refuse("a webhook's URL has no user and no fragment", "remove them")
    if _is_plain_http_elsewhere(value):
        raise refuse("plain http to another machine", "use https")
    return value


def _base_url(value: str) -> str:
    parts = _http_url(value, "https://api.openai.com/v1")
    if "@" in parts.netloc or parts.query or parts.fragment or "?" in value or "#" in value:
        raise refuse("a base URL has no user, query or fragment", "keep only scheme, host, port and path")
    return value.rstrip("/")


def _mcp_server_url(value: str) -> str:
    parts = _http_url(value, "https://mcp.example/mcp")
    if "@" in parts.netloc or "#" in value:
        raise refuse("a server's URL has no user and no fragment", "remove them; secrets go into headers")
    return value


def _resource_url(value: str) -> str:
    parts = _http_url(value, "https://gateway.example/mcp")
    if "@" in parts.netloc or "?" in value or "#" in value:
        raise refuse(
            "a resource's URL has no user, query or fragment", "keep only scheme, host, port and path"
        )
    if _is_plain_http_elsewhere(value):
        raise refuse("tokens for it would go to another machine over plain http", "use https")
    return parts._replace(netloc=parts.netloc.lower()).geturl().rstrip("/")


def _placement(value: str) -> str:
    if not _PLACEMENT.fullmatch(value):
        raise refuse("not a place for a secret", 'write "bearer", "header:NAME" or "query:NAME"')
    return value


def _path_prefix(value: str) -> str:
    if not value.startswith("/") or ".." in value or "?" in value or "#" in value or not value.isprintable():
        raise refuse("not a path prefix", 'write for example "/data/2.5/"')
    return value


def _usd(value: object) -> Decimal:
    if isinstance(value, str | int | Decimal) and not isinstance(value, bool):
        try:
            amount = Decimal(value)
        except InvalidOperation:
            amount = Decimal("NaN")
        if amount.is_finite() and 0 <= amount < 10**9:
            return amount
        if amount.is_finite() and amount < 0:
            raise refuse("is not an amount of 0 or more", "write for example 2.50")
    raise refuse("not an amount in US dollars", "write for example 2.50")


def _network(value: str) -> str:
    try:
        return str(read_network(value))
    except ValueError:
        raise refuse("not a network", 'write for example "10.0.0.0/8" or "2001:db8::/32"') from None


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


SecretReference = Annotated[
    Reference,
    PlainValidator(_reference),
    PlainSerializer(str, return_type=str),
    WithJsonSchema({"type": "string", "pattern": "^(env|file|keystore):.+$"}),
]
AsTexts = PlainSerializer(_references_as_texts)
"""Of a mapping to references: each as it was written."""
Name = Annotated[str, AfterValidator(_name)]
Listen = Annotated[str, AfterValidator(_listen)]
BaseURL = Annotated[str, AfterValidator(_base_url)]
WebhookURL = Annotated[str, AfterValidator(_webhook_url)]
MCPServerURL = Annotated[str, AfterValidator(_mcp_server_url)]
ResourceURL = Annotated[str, AfterValidator(_resource_url)]
Placement = Annotated[str, AfterValidator(_placement)]
PathPrefix = Annotated[str, AfterValidator(_path_prefix)]
USD = Annotated[
    Decimal,
    PlainValidator(_usd),
    PlainSerializer(str, return_type=str),
    WithJsonSchema({"type": ["number", "string"], "minimum": 0}),
]
LowerCase = BeforeValidator(_lower)
Networks = Annotated[
    tuple[Annotated[str, AfterValidator(_network)], ...], Field(strict=False, max_length=1000)
]
Texts = Annotated[tuple[str, ...], Field(strict=False)]
Count = Annotated[int, Field(ge=1)]
Table = Annotated[Mapping[Name, T], AfterValidator(MappingProxyType), PlainSerializer(dict)]
"""A table of named sections that cannot be changed after loading."""
