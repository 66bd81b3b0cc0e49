"""Targets of requests, in which nothing that was given can begin a line of its own.

Source: RFC 9112, sections 2 to 3.2.
"""

import functools
import re
from typing import Final
from urllib.parse import SplitResult, urlsplit

from macroslow.errors import ConfigurationError
from macroslow.secretstore.secret import Secret

_PATH: Final = re.compile(r"(?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+")
_QUERY: Final = re.compile(r"[A-Za-z0-9._~%&=+-]*")
_VISIBLE: Final = re.compile(r"[!-~]+")


@functools.lru_cache(maxsize=64)
def target(path: str, query: str = "") -> bytes:
    """A path below a base URL, without empty or dotted segments, and a query. Raises ValueError."""
    if not _PATH.fullmatch(path) or not _QUERY.fullmatch(query):
        raise ValueError(f"the path {path!r} or its query cannot be sent")
    return (f"{path}?{query}" if query else path).encode("ascii")


def checked_base(name: str, base_url: str) -> SplitResult:
    """A base URL; only scheme, host, port and path may be in it. Raises ConfigurationError."""
    parts = urlsplit(base_url)
    plain = parts._replace(query="", fragment="").geturl() == base_url and "@" not in parts.netloc
    if parts.scheme not in ("http", "https") or not parts.hostname or not plain or not _has_port(parts):
        raise ConfigurationError(
            f"provider {name}: base_url must be http(s)://HOST[:PORT][/PATH] and nothing else"
        )
    return parts


def checked_key(name: str, key: Secret) -> Secret:
    """A key that can stand in a header. Raises ConfigurationError, which does not quote it."""
    if not _VISIBLE.fullmatch(key.reveal()):
        raise ConfigurationError(f"provider {name}: the key cannot be sent in a header")
    return key


def _has_port(parts: SplitResult) -> bool:
    """Whether the URL is all visible ASCII and its port, if it has one, is a number that can be."""
    try:
        return bool(_VISIBLE.fullmatch(parts.geturl())) and parts.port != 0
    except ValueError:
        return False
