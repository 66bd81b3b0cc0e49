"""Addresses of callers, and the networks that a credential may be used from (CIDR notation: RFC 4632, and
RFC 4291 section 2.3).

A peer that came over an IPv4 socket of an IPv6 listener (`::ffff:192.0.2.1`) counts as the IPv4 address
that it is. What is no address, such as a Unix socket's peer, is in no network.
"""

from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

from macroslow.authn.api_keys import without_credentials

Network = IPv4Network | IPv6Network
OWN_PREFIX_BYTES: Final = 8  # of an IPv6 address: one caller has all of a /64
MAX_SHOWN_CHARACTERS: Final = 60


def read_network(text: str) -> Network:
    """A network; one address is a network of its own. ValueError says in words what is wrong with it."""
    try:
        network = ip_network(text)
    except ValueError:
        raise ValueError(_fault(text)) from None
    if isinstance(network, IPv6Network) and network.network_address.ipv4_mapped is not None:
        raise ValueError(f"{text!r} holds IPv4 addresses: write it as an IPv4 network")
    return network


def is_from(networks: tuple[str, ...], address: str) -> bool:
    """Whether `address` is in one of `networks`; where none is named, everywhere is."""
    if not networks:
        return True
    found = read_address(address)
    return found is not None and any(found in network for network in _networks(networks))


def read_address(text: str) -> IPv4Address | IPv6Address | None:
    """The peer's address without its zone; None if it is none."""
    try:
        found = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return mapped or found


def neighbourhood(address: IPv4Address | IPv6Address) -> str:
    """A name for all the addresses that one caller may have: an IPv4 address, or an IPv6 /64."""
    return str(address) if address.version == 4 else address.packed[:OWN_PREFIX_BYTES].hex()


def _fault(text: str) -> str:
    """What was written where a network belongs may be a key, and is shown only as far as it cannot be."""
    try:
        network = ip_network(text, strict=False)
    except ValueError:
        shown = without_credentials(text[:MAX_SHOWN_CHARACTERS])
        return f"{shown!r} is no network such as 192.0.2.0/24 or 2001:db8::/32"
    return f"{text} names a host: did you mean {network}, or {text.partition('/')[0]} alone?"


@lru_cache(maxsize=1024)
def _networks(networks: tuple[str, ...]) -> tuple[Network, ...]:
    return tuple(read_network(network) for network in networks)
