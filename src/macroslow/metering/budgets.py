"""Budgets besides a key's own account: for whom, for how long, how much.

A rule names whose spending is counted together (one key, one principal, one team, one tag, or all) and
over which period; days and months are those of UTC. A call is held against every rule that matches
it, in the same commit that holds it in its account. The counter of a period is an account of the
ledger named for it, so yesterday's money is never moved: a new day is a new counter.
"""

import enum
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from macroslow.metering.ledger import Budget
from macroslow.ports import NS_PER_S

EACH: Final = "*"
"""A rule with this name counts everyone of its scope, each for himself."""


class Scope(enum.StrEnum):
    """Whose spending is counted together."""

    KEY = "key"
    PRINCIPAL = "principal"
    TEAM = "team"
    TAG = "tag"
    ALL = "all"


class Period(enum.StrEnum):
    """Over what time."""

    DAY = "day"
    MONTH = "month"
    TOTAL = "total"


@dataclass(frozen=True, slots=True)
class BudgetRule:
    """One bound. `name` is a key's id, a principal, team or tag, or EACH; it is not read for `all`."""

    scope: Scope
    name: str
    period: Period
    limit_usd_micros: int


@dataclass(frozen=True, slots=True)
class Spender:
    """What a call is counted by. Empty: it has none, and no rule of that scope matches."""

    key_id: str
    principal: str
    team: str = ""
    tag: str = ""


def budgets_of(rules: Iterable[BudgetRule], spender: Spender, now_ns: int) -> tuple[Budget, ...]:
    """The budgets that a call of `spender` at `now_ns` (UTC) is held against.

    Where two rules bound the same counter, the lower limit is in force.
    """
    names = {
        Scope.KEY: spender.key_id,
        Scope.PRINCIPAL: spender.principal,
        Scope.TEAM: spender.team,
        Scope.TAG: spender.tag,
        Scope.ALL: "all",
    }
    found: dict[str, Budget] = {}
    for rule in rules:
        name = names[rule.scope]
        if not name or (rule.scope is not Scope.ALL and rule.name not in (EACH, name)):
            continue
        budget = _budget(rule, name, now_ns)
        known = found.get(budget.id)
        if known is None or budget.limit_usd_micros < known.limit_usd_micros:
            found[budget.id] = budget
    return tuple(found.values())


def _budget(rule: BudgetRule, name: str, now_ns: int) -> Budget:
    counted = rule.scope.value if rule.scope is Scope.ALL else f"{rule.scope}/{name}"
    start, end = _period(rule.period, now_ns)
    return Budget(f"{counted}/{rule.period}{start}", rule.limit_usd_micros, end)


def _period(period: Period, now_ns: int) -> tuple[str, int | None]:
    """The period's own part of a counter's name, and when it ends."""
    if period is Period.TOTAL:
        return "", None
    today = datetime.fromtimestamp(now_ns // NS_PER_S, UTC).replace(hour=0, minute=0, second=0)
    if period is Period.DAY:
        return f"/{today:%Y-%m-%d}", int((today + timedelta(days=1)).timestamp())
    first = today.replace(day=1)
    following = (first + timedelta(days=32)).replace(day=1)
    return f"/{first:%Y-%m}", int(following.timestamp())
