"""Who is behind a trusted proxy: `X-Forwarded-For` and `X-Forwarded-Proto`, from configured addresses only.

Anybody can send these headers, so they say nothing unless the connection itself comes from a proxy that
the operator named. Then the list is read from its end: each proxy appends the address it was called
from, so the last that is no trusted proxy is believed, and what stands before it is the caller's own
writing. `Forwarded` (RFC 7239) and every other such header is never read.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from macroslow.authn.addresses import Network, read_address
from macroslow.web.messages import Headers

MAX_HOPS: Final = 32
_FOR: Final = b"x-forwarded-for"
_PROTO: Final = b"x-forwarded-proto"


class Origin(NamedTuple):
    """Where a request comes from, as far as can be believed, and whether it came there encrypted."""

    address: str
    https: bool


class TrustedProxies:
    """The networks whose word about a caller's address is taken."""

    def __init__(self, networks: Sequence[Network] = ()) -> None:
        self._networks = tuple(networks)

    def trusts(self, address: str) -> bool:
        """Whether the peer at `address` is one of them."""
        found = read_address(address) if self._networks else None
        return found is not None and any(found in network for network in self._networks)

    def origin(self, peer: str, headers: Headers) -> Origin:
        """What a trusted `peer` says about its caller. What cannot be read leaves the last one that could."""
        listed = b",".join(value for name, value in headers if name == _FOR)
        protocols = b",".join(value for name, value in headers if name == _PROTO)
        https = protocols.rpartition(b",")[2].strip().lower() == b"https"
        address = peer
        for hop in reversed(listed.split(b",")[-MAX_HOPS:]):
            found = read_address(_bare(hop))
            if found is None:
                break
            address = str(found)
            if not self.trusts(address):
                break
        return Origin(address, https)


def _bare(hop: bytes) -> str:
    """The address of one hop without a port: `192.0.2.1:443`, `[2001:db8::1]:443` or without."""
    text = hop.strip().decode("latin-1")
    if text.startswith("["):
        return text[1:].partition("]")[0]
    host, colon, port = text.partition(":")
    return host if colon and port.isdecimal() else text
