"""Whether one credential may do nothing that another may not, term by term.

Every term has its rule, and a term without one is an error, not a permission. Where a rule cannot be sure
it says no: a grant is within another only by its literal prefix (see `authz.uri.includes`).
"""

from collections.abc import Callable, Iterable, Mapping
from ipaddress import IPv4Network
from typing import Any, Final

from macroslow.authn.addresses import Network, read_network
from macroslow.authn.terms import NAMES, Terms
from macroslow.authz.uri import Pattern, includes


def beyond(child: Terms, parent: Terms) -> list[str]:
    """The terms in which `child` may do more than `parent`; none: it is a subset.

    Both hold terms that make sense by themselves.
    """
    return [name for name in NAMES if not WITHIN[name](getattr(child, name), getattr(parent, name))]


def grants_within(grants: Iterable[str], bounds: Iterable[str]) -> bool:
    """Whether everything that `grants` cover is covered by one of `bounds`."""
    outer = [Pattern.parse(bound) for bound in bounds]
    return all(any(includes(bound, Pattern.parse(grant)) for bound in outer) for grant in grants)


def _addresses_within(addresses: tuple[str, ...], bounds: tuple[str, ...]) -> bool:
    """None named means from anywhere."""
    if not bounds:
        return True
    outer = [read_network(bound) for bound in bounds]
    return bool(addresses) and all(_in_one(read_network(one), outer) for one in addresses)


def _in_one(network: Network, outer: Iterable[Network]) -> bool:
    for bound in outer:
        if isinstance(network, IPv4Network):
            if isinstance(bound, IPv4Network) and network.subnet_of(bound):
                return True
        elif not isinstance(bound, IPv4Network) and network.subnet_of(bound):
            return True
    return False


def _at_most(value: int | None, bound: int | None) -> bool:
    return bound is None or (value is not None and value <= bound)


def _same_team(team: str, bound: str) -> bool:
    """Another team would be another budget; who has none may not spend one's."""
    return team == bound


WITHIN: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "scopes": frozenset.issubset,
    "grants": grants_within,
    "addresses": _addresses_within,
    "team": _same_team,
    "weight": _at_most,
    "requests_per_minute": _at_most,
    "concurrent_requests": _at_most,
    "day_usd_micros": _at_most,
    "month_usd_micros": _at_most,
    "expires_ns": _at_most,
}
"""Whether a value of the child, which comes first, is within one of the parent."""
