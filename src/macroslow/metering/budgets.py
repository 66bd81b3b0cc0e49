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

from macroslow.authn.principal import Principal, TokenPrincipal
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


_FORMS: Final = {Period.DAY: "%Y-%m-%d", Period.MONTH: "%Y-%m"}


@dataclass(frozen=True, slots=True)
class BudgetRule:
    """One bound. `name` is a key's id, a principal, team or tag, or EACH; it is not read for `all`."""

    scope: Scope
    name: str
    period: Period
    limit_usd_micros: int


@dataclass(frozen=True, slots=True)
class Spender:
    """What a call is counted by. Empty: it has none, and no rule of that scope matches.

    By key it is counted for the keys that made its own too, `makers`: else whoever has the right to make
    keys would have as many budgets as keys.
    """

    key_id: str
    principal: str
    team: str = ""
    tag: str = ""
    makers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CountedSpending:
    """Whose spending a budget counts, and over what time. `name` is empty for `all`."""

    scope: Scope
    name: str
    period: Period


def read_counter(budget_id: str) -> CountedSpending:
    """Take the name of a counter apart. Raises ValueError for what `budgets_of` does not make.

    Read from its end, where the period stands: a name may hold slashes of its own.
    """
    counted, _, last = budget_id.rpartition("/")
    start = "" if last == Period.TOTAL else last
    period = last
    if start:
        counted, _, period = counted.rpartition("/")
    scope, _, name = counted.partition("/")
    found = CountedSpending(Scope(scope), name, Period(period))
    _check_start(found.period, start)
    if not budget_id or bool(name) is (found.scope is Scope.ALL):
        raise ValueError(f"{budget_id!r} is not the name of a counter")
    return found


def own_rules(principal: Principal) -> tuple[BudgetRule, ...]:
    """What bounds the spending of each credential, besides the account: in a day and in a month.

    A key's is counted by key, and its account bounds it in all. A token's is counted by the principal, which
    is its subject, in all too: so it holds where a key beside it pays. Those of the keys that made a key
    bound it too.
    """
    rules: list[BudgetRule] = []
    for credential in principal.credentials():
        for each in (credential, *credential.makers):
            if each.day_usd_micros is not None:
                rules.append(_own_rule(each, Period.DAY, each.day_usd_micros))
            if each.month_usd_micros is not None:
                rules.append(_own_rule(each, Period.MONTH, each.month_usd_micros))
            if isinstance(each, TokenPrincipal) and each.budget_usd_micros is not None:
                rules.append(_own_rule(each, Period.TOTAL, each.budget_usd_micros))
    return tuple(rules)


def _own_rule(credential: Principal, period: Period, limit_usd_micros: int) -> BudgetRule:
    key_id = credential.key_id
    scope, name = (Scope.KEY, key_id) if key_id else (Scope.PRINCIPAL, credential.name)
    return BudgetRule(scope, name, period, limit_usd_micros)


def budgets_of(rules: Iterable[BudgetRule], spender: Spender, now_ns: int) -> tuple[Budget, ...]:
    """The budgets that a call of `spender` at `now_ns` (UTC) is held against.

    Where two rules bound the same counter, the lower limit is in force.
    """
    names = {
        Scope.KEY: (spender.key_id, *spender.makers),
        Scope.PRINCIPAL: (spender.principal,),
        Scope.TEAM: (spender.team,),
        Scope.TAG: (spender.tag,),
        Scope.ALL: ("all",),
    }
    found: dict[str, Budget] = {}
    for rule in rules:
        for name in names[rule.scope]:
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
    first = today if period is Period.DAY else today.replace(day=1)
    return f"/{first:{_FORMS[period]}}", _end(period, first)


def _check_start(period: Period, start: str) -> None:
    """Raise ValueError unless `start` is what a period of this kind is called."""
    if period is Period.TOTAL:
        if start:
            raise ValueError("a total has no beginning")
        return
    first = datetime.strptime(start, _FORMS[period]).replace(tzinfo=UTC)
    if f"{first:{_FORMS[period]}}" != start:  # strptime takes 2026-1-1 too
        raise ValueError(f"{start!r} is not a {period}")


def _end(period: Period, first: datetime) -> int:
    if period is Period.DAY:
        return int((first + timedelta(days=1)).timestamp())
    return int((first + timedelta(days=32)).replace(day=1).timestamp())
