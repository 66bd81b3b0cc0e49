"""What a credential may do and how much of it, whichever kind of credential it is.

A stored key, a wish for one and the caller that either of them makes are all terms and something
more: each field is written down here, once.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final

CALLER_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+:/-]{0,127}")
CALLER_NAME_FORM: Final = "1 to 128 of letters, digits and . _ @ + : / -, a letter or digit first"
"""What a principal or a team is called, whether a key or a token says it: budgets go by these names."""
MAX_WEIGHT: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """Rights and bounds. None: no bound of its own.

    `grants` are URI patterns that bound every document it runs; `addresses` are the networks that it may be
    used from, none named: from anywhere. `team` is whose budget and reports it counts to besides its own;
    `weight` is its share beside others where calls must wait; `concurrent_requests` is how many may be under
    way at once. The two budgets are what it may spend in a day and in a month (UTC), in micro-dollars;
    `expires_ns` is since 1970 (UTC).
    """

    scopes: frozenset[str] = frozenset()
    grants: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    team: str = ""
    weight: int = 1
    requests_per_minute: int | None = None
    concurrent_requests: int | None = None
    day_usd_micros: int | None = None
    month_usd_micros: int | None = None
    expires_ns: int | None = None


NAMES: Final = tuple(field.name for field in fields(Terms))
_COLLECTIONS: Final = {
    field.name: type(field.default) for field in fields(Terms) if isinstance(field.default, frozenset | tuple)
}


def terms_of(holder: Terms) -> dict[str, Any]:
    """The terms alone, by name: what makes another holder of the same terms."""
    return {name: getattr(holder, name) for name in NAMES}


def told(holder: Terms) -> dict[str, Any]:
    """The terms by name as JSON has them: lists, and of a set a sorted one."""
    found = terms_of(holder)
    return found | {
        name: sorted(found[name]) if kind is frozenset else [*found[name]]
        for name, kind in _COLLECTIONS.items()
    }


def untold(members: Mapping[str, Any]) -> dict[str, Any]:
    """`members`, whose lists are collections again where a term is one: what makes a holder."""
    return {
        name: _COLLECTIONS[name](value) if name in _COLLECTIONS else value for name, value in members.items()
    }
