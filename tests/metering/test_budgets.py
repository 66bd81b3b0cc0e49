"""Which counters a call is held against, and what the name of a counter tells."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from macroslow.authn.principal import Principal
from macroslow.metering.budgets import (
    BudgetRule,
    Period,
    Scope,
    Spender,
    budgets_of,
    own_rules,
    read_counter,
)
from macroslow.metering.ledger import Budget

NS = 10**9
NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._@+:/-]{0,20}", fullmatch=True)
TIMES_S = st.integers(0, 4_000_000_000)
SPENDER = Spender("k1", "ann", "lab", "ci")


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


def test_a_call_is_held_against_every_rule_that_names_it_or_each():
    rules = [
        BudgetRule(Scope.KEY, "k1", Period.DAY, 1),
        BudgetRule(Scope.KEY, "k2", Period.DAY, 1),
        BudgetRule(Scope.PRINCIPAL, "*", Period.TOTAL, 2),
        BudgetRule(Scope.TEAM, "other", Period.TOTAL, 3),
        BudgetRule(Scope.TAG, "ci", Period.MONTH, 4),
        BudgetRule(Scope.ALL, "ignored", Period.TOTAL, 5),
    ]
    assert budgets_of(rules, SPENDER, at("2026-12-31T23:59:59") * NS) == (
        Budget("key/k1/day/2026-12-31", 1, at("2027-01-01")),
        Budget("principal/ann/total", 2, None),
        Budget("tag/ci/month/2026-12", 4, at("2027-01-01")),
        Budget("all/total", 5, None),
    )


def test_who_has_no_team_and_no_tag_is_bound_by_no_rule_of_theirs():
    rules = [BudgetRule(scope, "*", Period.DAY, 1) for scope in (Scope.TEAM, Scope.TAG)]
    assert budgets_of(rules, Spender("k", "p"), 0) == ()


def test_of_two_limits_on_one_counter_the_lower_is_in_force():
    rules = [
        BudgetRule(Scope.TAG, name, Period.DAY, limit) for name, limit in (("*", 5), ("ci", 3), ("ci", 4))
    ]
    assert [budget.limit_usd_micros for budget in budgets_of(rules, SPENDER, 0)] == [3]


@given(TIMES_S)
def test_a_day_and_a_month_are_those_of_utc_and_end_where_the_next_begins(time_s: int):
    rules = [BudgetRule(Scope.ALL, "*", period, 1) for period in (Period.DAY, Period.MONTH)]
    day, month = budgets_of(rules, SPENDER, time_s * NS)
    today = datetime.fromtimestamp(time_s, UTC)
    assert (day.id, month.id) == (f"all/day/{today:%Y-%m-%d}", f"all/month/{today:%Y-%m}")
    for budget, same in ((day, "%Y-%m-%d"), (month, "%Y-%m")):
        assert budget.resets_s is not None
        end = datetime.fromtimestamp(budget.resets_s, UTC)
        assert f"{end - timedelta(seconds=1):{same}}" == f"{today:{same}}" != f"{end:{same}}"


@given(st.sampled_from(Scope), NAMES, st.sampled_from(Period), TIMES_S)
def test_the_name_of_every_counter_is_read_back(scope: Scope, name: str, period: Period, time_s: int):
    (budget,) = budgets_of([BudgetRule(scope, "*", period, 1)], Spender(name, name, name, name), time_s * NS)
    counted = read_counter(budget.id)
    expected = "" if scope is Scope.ALL else name
    assert (counted.scope, counted.name, counted.period) == (scope, expected, period)
    assert counted.resets_s == budget.resets_s
    assert counted.is_current(time_s * NS)
    if budget.resets_s is not None:
        assert counted.is_current(budget.resets_s * NS - 1)
        assert not counted.is_current(budget.resets_s * NS)


@pytest.mark.parametrize(
    "name",
    ["", "/", "all", "key/k1", "total", "all/x/total", "key/total", "who/k1/total", "key/k1/year/2026",
     "key/k1/day/2026-13-01", "key/k1/day/2026-1-1", "key/k1/month/2026-01-01", "key/k1/day/total/x"],
)  # fmt: skip
def test_what_names_no_counter_is_refused(name: str):
    with pytest.raises(ValueError):
        read_counter(name)


def test_a_keys_own_bounds_are_rules_of_that_key_alone():
    principal = Principal("ann", "key/k1", frozenset(), key_id="k1", day_usd_micros=0, month_usd_micros=7)
    assert own_rules(principal) == (
        BudgetRule(Scope.KEY, "k1", Period.DAY, 0),
        BudgetRule(Scope.KEY, "k1", Period.MONTH, 7),
    )
    assert own_rules(Principal("ann", "key/k1", frozenset(), key_id="k1")) == ()
