"""What must hold of a request's headers before anybody is asked who it is.

One Host, and one that the operator serves, so that a name rebound to this address (DNS rebinding)
opens nothing; an Origin only from the same host, so that no other web page acts through a
browser; one body length, so that two readers cannot see two requests (RFC 9112 sections 3.2, 6.3).
"""

from collections.abc import Mapping
from typing import Final

from macroslow.errors import BadRequestError, OriginRefusedError
from macroslow.web.messages import Headers

LOOPBACK_HOSTS: Final = frozenset({"localhost", "127.0.0.1", "[::1]"})
MAX_LENGTH_DIGITS: Final = 15
MAX_KNOWN_HOSTS: Final = 64  # as clients write them: in all spellings there are more than anybody would keep
_ONCE: Final = frozenset(
    {
        b"authorization",
        b"content-encoding",
        b"content-length",
        b"content-type",
        b"expect",
        b"host",
        b"mcp-protocol-version",
        b"origin",
        b"transfer-encoding",
        b"x-api-key",
        b"x-macroslow-tag",
    }
)
"""Headers whose second copy would make the request mean two things."""


def read_framing(headers: Headers) -> tuple[Mapping[bytes, bytes], int | None]:
    """Headers by name, and the body's declared length: None if it is chunked, 0 if there is none.

    Raises BadRequestError where they contradict themselves.
    """
    by_name = dict(headers)
    if len(by_name) != len(headers):
        _refuse_copies(headers)
    return by_name, _body_bytes(by_name)


def _refuse_copies(headers: Headers) -> None:
    seen: set[bytes] = set()
    for name, _ in headers:
        if name in seen and name in _ONCE:
            raise BadRequestError(f"the header {name.decode('latin-1')!r} is there twice", step="framing")
        seen.add(name)


def _body_bytes(headers: Mapping[bytes, bytes]) -> int | None:
    length = headers.get(b"content-length")
    coding = headers.get(b"transfer-encoding")
    if coding is not None:
        if length is not None or coding.lower() != b"chunked":
            raise BadRequestError("the body's length is not clear", step="framing")
        return None
    if length is None:
        return 0
    if not (length.isdigit() and len(length) <= MAX_LENGTH_DIGITS):
        raise BadRequestError("content-length is not a number", step="framing")
    return int(length)


class HostRule:
    """Which Host a request may name. `hosts` are lower-case names or addresses, without ports.

    `section` is the one of the configuration that lists them.
    """

    def __init__(self, hosts: frozenset[str] = LOOPBACK_HOSTS, section: str = "server") -> None:
        self._section = section
        self._hosts = frozenset(host.encode("ascii") for host in hosts)
        self._known: set[bytes] = set()  # some that were found to be served, as they were written

    def check(self, headers: Mapping[bytes, bytes]) -> None:
        """Raise BadRequestError without a Host, OriginRefusedError for a foreign Host or Origin."""
        host = headers.get(b"host", b"")
        if host not in self._known:
            self._require_served(host)
        origin = headers.get(b"origin")
        if origin is not None and origin.lower() not in _origins(host.lower()):
            raise OriginRefusedError("requests from other origins are not taken", step="origin")

    def _require_served(self, host: bytes) -> None:
        if not host:
            raise BadRequestError("the request names no host", step="host")
        if _without_port(host.lower()) not in self._hosts:
            raise OriginRefusedError(
                "this host name is not served here",
                fix=f"the operator may add the name to [{self._section}] allowed_hosts",
                step="host",
            )
        if len(self._known) < MAX_KNOWN_HOSTS:
            self._known.add(host)


def _origins(host: bytes) -> tuple[bytes, bytes]:
    return b"http://" + host, b"https://" + host


def _without_port(host: bytes) -> bytes:
    name, colon, port = host.rpartition(b":")
    return name if colon and port.isdigit() and len(port) <= 5 else host
