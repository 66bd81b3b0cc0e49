"""What a credential may do and how much of it, whichever kind of credential it is.

A stored key, a wish for one and the caller that either of them makes are all terms and something
more: each field is written down here, once.
"""

from dataclasses import dataclass, fields
from typing import Any, Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """Rights and bounds. None: no bound of its own.

    `grants` are URI patterns that bound every document it runs. `team` is whose budget and reports it
    counts to besides its own; `weight` is its share beside others where calls must wait. The two budgets
    are what it may spend in a day and in a month (UTC), in micro-dollars; `expires_ns` is since 1970 (UTC).
    """

    scopes: frozenset[str] = frozenset()
    grants: tuple[str, ...] = ()
    team: str = ""
    weight: int = 1
    requests_per_minute: int | None = None
    day_usd_micros: int | None = None
    month_usd_micros: int | None = None
    expires_ns: int | None = None


NAMES: Final = tuple(field.name for field in fields(Terms))


def terms_of(holder: Terms) -> dict[str, Any]:
    """The terms alone, by name: what makes another holder of the same terms."""
    return {name: getattr(holder, name) for name in NAMES}
