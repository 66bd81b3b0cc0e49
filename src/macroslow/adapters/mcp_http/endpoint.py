"""Where a server is, what its requests carry, and which addresses its name may lead to.

The operator names the place and the headers, which are the gateway's own; nothing of a caller's is among
them. A name may lead to public addresses only, unless the operator says otherwise; an address that is written
out, or localhost, was meant.
"""

import re
from collections.abc import Callable, Mapping
from ipaddress import ip_address
from typing import Final
from urllib.parse import SplitResult, urlsplit

from macroslow.authn.public_addresses import is_public
from macroslow.errors import ConfigurationError
from macroslow.outbound.client import Client
from macroslow.outbound.dialling import anywhere
from macroslow.outbound.exchange import Patience
from macroslow.outbound.head import header_lines
from macroslow.secretstore.secret import Secret

CONNECT_S: Final = 10.0
LONGEST_S: Final = 3600.0  # the deadline of each call is what counts

_VISIBLE: Final = re.compile(r"[!-~]+")
_MEANT: Final = "localhost"


class Endpoint:
    """One URL. `lines` are the headers of every request to it, the credential among them."""

    def __init__(
        self, name: str, url: str, headers: Mapping[str, Secret], *, private_network: bool = False
    ) -> None:
        """Raise ConfigurationError, which quotes no secret, for what cannot be sent."""
        parts = _checked(name, url)
        self.url = url
        self.target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._host = parts.hostname or ""
        self._tls = parts.scheme == "https"
        self._port = parts.port or (443 if self._tls else 80)
        self._private = private_network
        fixed = {
            "host": parts.netloc,
            "user-agent": "macroslow",
            "accept": "application/json, text/event-stream",
            "accept-encoding": "identity",
            "content-type": "application/json",
        }
        try:
            self._lines = header_lines(fixed | {name: _sent(name, each) for name, each in headers.items()})
        except ValueError:
            raise ConfigurationError(
                f"mcp.servers.{name}: a header cannot be sent",
                fix="its secret must be one line of printable ASCII",
            ) from None

    def client(self) -> Client:
        """Connections to it."""
        patience = Patience(connect_s=CONNECT_S, head_s=LONGEST_S, idle_s=LONGEST_S)
        return Client(self._host, self._port, tls=self._tls, patience=patience, admits=self._admits())

    def head(self, body: bytes, own: Mapping[str, str]) -> bytes:
        """The head of a POST of `body`."""
        return b"POST %b HTTP/1.1\r\n%b%bcontent-length: %d\r\n\r\n" % (
            self.target.encode("ascii"),
            self._lines,
            header_lines(own),
            len(body),
        )

    def _admits(self) -> Callable[[str], bool]:
        if self._private or self._host == _MEANT or _is_address(self._host):
            return anywhere
        return lambda address: is_public(ip_address(address))


def _sent(name: str, secret: Secret) -> str:
    """A header's value; in `authorization` a bearer's (RFC 6750, section 2.1): no secret has spaces."""
    return f"Bearer {secret.reveal()}" if name == "authorization" else secret.reveal()


def _checked(name: str, url: str) -> SplitResult:
    refused = ConfigurationError(f"mcp.servers.{name}: url must be http(s)://HOST[:PORT][/PATH][?QUERY]")
    try:
        parts = urlsplit(url)
        usable = bool(_VISIBLE.fullmatch(url)) and bool(parts.hostname) and parts.port != 0
    except ValueError:
        raise refused from None
    if not usable or parts.scheme not in {"http", "https"} or "@" in parts.netloc or "#" in url:
        raise refused
    return parts


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
