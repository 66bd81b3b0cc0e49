"""What a client key may, in people's words: amounts in dollars, times of UTC, what no bound is called.

For messages; data keeps its numbers.
"""

from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from macroslow.authn.terms import Terms
from macroslow.authz.subset import WITHIN, beyond
from macroslow.errors import BudgetExhaustedError, Problem
from macroslow.metering.money import in_cents
from macroslow.ports import NS_PER_S

_MANY: Final = frozenset({"scopes", "grants"})  # what is too much can be named one by one


def moment(time_ns: int) -> str:
    """An instant: 2026-01-31 12:00 UTC."""
    return f"{datetime.fromtimestamp(time_ns // NS_PER_S, UTC):%Y-%m-%d %H:%M} UTC"


def excesses(child: Terms, parent: Terms) -> list[Problem]:
    """Each term in which `child` is more than the key that makes it: what it asks for, and what that has."""
    return [Problem(_excess(name, child, parent), field=name) for name in beyond(child, parent)]


def wider(child: Terms, parent: Terms) -> str:
    """The names of those terms."""
    return ", ".join(TERMS[name][0] for name in beyond(child, parent))


def no_room(error: BudgetExhaustedError) -> BudgetExhaustedError:
    """The same refusal, where what was asked for is a budget, which comes out of that of another key."""
    needed, limit, spent, held = map(
        in_cents,
        (error.needed_usd_micros, error.limit_usd_micros, error.spent_usd_micros, error.held_usd_micros),
    )
    payer = error.budget.replace("/", " ", 1)  # an account's name: key/ID
    return BudgetExhaustedError(
        f"the budget asked for takes {needed} out of the {limit} of {payer}, of which {spent} are spent and"
        f" {held} are held for calls under way and for keys that it made",
        fix="ask for no more than is left, or have the operator raise that budget: macroslow keys set",
        budget=error.budget,
        limit_usd_micros=error.limit_usd_micros,
        spent_usd_micros=error.spent_usd_micros,
        held_usd_micros=error.held_usd_micros,
        needed_usd_micros=error.needed_usd_micros,
    )


def _excess(name: str, child: Terms, parent: Terms) -> str:
    _, told = TERMS[name]
    asked, has = getattr(child, name), getattr(parent, name)
    if name in _MANY:
        asked = [one for one in sorted(asked) if not WITHIN[name](type(has)([one]), has)]
    return f"asked for {told(asked)}; the key that makes it has {told(has)}"


def _listed(values: Collection[str]) -> str:
    return ", ".join(sorted(values)) or "none"


def _bound(form: str) -> Callable[[int | None], str]:
    return lambda value: "no bound" if value is None else form.format(value)


def _amount(period: str) -> Callable[[int | None], str]:
    return lambda usd_micros: "no bound" if usd_micros is None else f"{in_cents(usd_micros)} a {period}"


TERMS: Final[Mapping[str, tuple[str, Callable[[Any], str]]]] = {
    "scopes": ("scopes", _listed),
    "grants": ("grants", _listed),
    "addresses": ("addresses", lambda networks: ", ".join(networks) or "every address"),
    "team": ("team", lambda team: f"team {team}" if team else "no team"),
    "weight": ("weight", "weight {}".format),
    "requests_per_minute": ("requests per minute", _bound("{} requests a minute")),
    "concurrent_requests": ("requests at once", _bound("{} requests at once")),
    "day_usd_micros": ("budget by day", _amount("day")),
    "month_usd_micros": ("budget by month", _amount("month")),
    "expires_ns": ("expiry", lambda time_ns: "no end" if time_ns is None else f"an end on {moment(time_ns)}"),
}
"""What each term is called, and how its value is told."""
