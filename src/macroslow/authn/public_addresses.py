"""Which addresses a name chosen by somebody else may lead to: those of the public internet, no others.

What belongs to this machine, its network or its cloud (loopback, private, link-local with the metadata
service, shared, multicast, reserved) is not public, however it is written: an IPv6 address that stands for an
IPv4 one is public only if that one is.

Sources: RFC 6890 with the IANA special-purpose address registries (as the standard library has them);
RFC 4291, section 2.5.5; RFC 3056 (6to4); RFC 4380 (Teredo); RFC 6052 and RFC 8215 (NAT64).
"""

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address, IPv6Network
from typing import Final

Address = IPv4Address | IPv6Address

# An IPv4 address is in the last 32 bits of these: IPv4-compatible, translated, and the two of NAT64.
_ENDS_IN_IPV4: Final = tuple(
    IPv6Network(network) for network in ("::/96", "::ffff:0:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48")
)
# Deprecated by RFC 3879 and private where it still works; and what a standard library may not know yet: dummy
# prefix (RFC 9780), documentation (RFC 9637), segment routing (RFC 9602).
_NOT_PUBLIC: Final = tuple(
    IPv6Network(network) for network in ("fec0::/10", "100:0:0:1::/64", "3fff::/20", "5f00::/16")
)


def is_public(address: Address) -> bool:
    """Whether `address`, and each IPv4 address that it stands for, is of the public internet."""
    if isinstance(address, IPv6Address) and (mapped := address.ipv4_mapped) is not None:
        return is_public(mapped)
    if isinstance(address, IPv6Address) and address.scope_id is not None:
        return False
    if any(address in network for network in _NOT_PUBLIC):
        return False
    return address.is_global and not address.is_multicast and all(map(is_public, _embedded(address)))


def _embedded(address: Address) -> Iterator[IPv4Address]:
    if isinstance(address, IPv4Address):
        return
    if address.sixtofour is not None:
        yield address.sixtofour
    if address.teredo is not None:
        yield from address.teredo
    if any(address in network for network in _ENDS_IN_IPV4):
        yield IPv4Address(int(address) & 0xFFFFFFFF)
