"""Which budgets a call is held against: those that name its spender, in the period of its moment."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from macroslow.metering.budgets import (
    EACH,
    BudgetRule,
    CountedSpending,
    Period,
    Scope,
    Spender,
    budgets_of,
    read_counter,
)
from macroslow.metering.ledger import Budget

NOW = datetime(2026, 1, 31, 23, 59, 59, 999_999, UTC)
ANN = Spender("k1", "ann", "lab", "ci")


def ns(moment: datetime) -> int:
    return int((moment - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(microseconds=1)) * 1_000


def seconds(*date: int) -> int:
    return int(datetime(*date, tzinfo=UTC).timestamp())  # type: ignore[misc, arg-type]


def rule(scope: Scope, name: str = EACH, period: Period = Period.TOTAL, limit: int = 5) -> BudgetRule:
    return BudgetRule(scope, name, period, limit)


@pytest.mark.parametrize(
    ("period", "suffix", "resets_s"),
    [
        (Period.DAY, "day/2026-01-31", seconds(2026, 2, 1)),
        (Period.MONTH, "month/2026-01", seconds(2026, 2, 1)),
        (Period.TOTAL, "total", None),
    ],
)
def test_a_counter_is_named_for_whom_it_counts_and_its_period(
    period: Period, suffix: str, resets_s: int | None
) -> None:
    rules = [rule(scope, EACH, period, 9) for scope in Scope]
    assert budgets_of(rules, ANN, ns(NOW)) == tuple(
        Budget(f"{counted}/{suffix}", 9, resets_s)
        for counted in ("key/k1", "principal/ann", "team/lab", "tag/ci", "all")
    )


@pytest.mark.parametrize(
    ("rules", "spender", "found"),
    [
        ([rule(Scope.TAG, "ci"), rule(Scope.TAG, "other")], ANN, ["tag/ci/total"]),
        ([rule(Scope.TAG), rule(Scope.TEAM)], Spender("k1", "ann"), []),
        (
            [rule(Scope.KEY, "k0"), rule(Scope.KEY, "k9")],
            Spender("k1", "ann", makers=("k0",)),
            ["key/k0/total"],
        ),
        ([rule(Scope.KEY)], Spender("k1", "ann", makers=("k0",)), ["key/k1/total", "key/k0/total"]),
        ([rule(Scope.KEY, "k2"), rule(Scope.PRINCIPAL, "ann")], ANN, ["principal/ann/total"]),
        ([rule(Scope.TEAM, "ann"), rule(Scope.PRINCIPAL, "lab")], ANN, []),
        ([rule(Scope.ALL, "whatever")], Spender("", ""), ["all/total"]),
        ([], ANN, []),
    ],
)
def test_a_rule_matches_its_own_scope_and_name_alone(
    rules: list[BudgetRule], spender: Spender, found: list[str]
) -> None:
    assert [budget.id for budget in budgets_of(rules, spender, ns(NOW))] == found


def test_of_two_rules_for_one_counter_the_lower_is_in_force() -> None:
    rules = [rule(Scope.TAG, "ci", limit=7), rule(Scope.TAG, EACH, limit=3), rule(Scope.TAG, "ci", limit=5)]
    assert budgets_of(rules, ANN, ns(NOW)) == (Budget("tag/ci/total", 3),)


@pytest.mark.parametrize(
    ("moment", "day", "month"),
    [
        (datetime(2026, 1, 31, 23, 59, 59, tzinfo=UTC), "2026-01-31", "2026-01"),
        (datetime(2026, 2, 1, tzinfo=UTC), "2026-02-01", "2026-02"),
        (datetime(2028, 2, 29, 12, tzinfo=UTC), "2028-02-29", "2028-02"),
        (datetime(2026, 12, 31, 23, tzinfo=UTC), "2026-12-31", "2026-12"),
        (datetime(1970, 1, 1, tzinfo=UTC), "1970-01-01", "1970-01"),
    ],
)
def test_periods_end_where_the_next_begins(moment: datetime, day: str, month: str) -> None:
    rules = [rule(Scope.ALL, EACH, Period.DAY), rule(Scope.ALL, EACH, Period.MONTH)]
    now = budgets_of(rules, ANN, ns(moment))
    assert [budget.id for budget in now] == [f"all/day/{day}", f"all/month/{month}"]
    for budget in now:
        assert budget.resets_s is not None
        ends_ns = budget.resets_s * 10**9
        assert budget.id in [same.id for same in budgets_of(rules, ANN, ends_ns - 1)]
        assert budget.id not in [later.id for later in budgets_of(rules, ANN, ends_ns)]


names = st.text("ab/*0-", max_size=6)
spenders = st.builds(Spender, names, names, names, names)
rules_of_any = st.builds(
    BudgetRule, st.sampled_from(Scope), st.just(EACH), st.sampled_from(Period), st.integers(0, 9)
)


@given(rules_of_any, spenders, spenders, st.integers(0, 2**62), st.integers(0, 2**62))
def test_two_calls_share_a_counter_only_if_they_share_name_scope_and_period(
    one: BudgetRule, ann: Spender, bob: Spender, first_ns: int, second_ns: int
) -> None:
    """Whatever a client writes into its tag, it counts in nobody else's budget."""
    for other in (one, *(rule(scope, EACH, period) for scope in Scope for period in Period)):
        shared = {budget.id for budget in budgets_of([one], ann, first_ns)} & {
            budget.id for budget in budgets_of([other], bob, second_ns)
        }
        if shared:
            assert (one.scope, one.period) == (other.scope, other.period)
            assert one.scope is Scope.ALL or _name(one.scope, ann) == _name(one.scope, bob) != ""


@given(rules_of_any, spenders, st.integers(0, 2**62))
def test_the_name_of_a_counter_says_what_is_counted(one: BudgetRule, ann: Spender, now_ns: int) -> None:
    for budget in budgets_of([one], ann, now_ns):
        name = "" if one.scope is Scope.ALL else _name(one.scope, ann)
        assert read_counter(budget.id) == CountedSpending(one.scope, name, one.period)


@pytest.mark.parametrize(
    "name",
    ["", "all", "total", "key/k1", "all/ci/total", "tag/total", "tag//total", "nobody/x/total",
     "all/week/2026-01", "all/day/2026-1-1", "all/day/2026-02-30", "all/day/2026-01", "all/month/2026-01-01",
     "all/total/2026-01"],
)  # fmt: skip
def test_what_is_no_counters_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError):
        read_counter(name)


def _name(scope: Scope, spender: Spender) -> str:
    return {
        Scope.KEY: spender.key_id,
        Scope.PRINCIPAL: spender.principal,
        Scope.TEAM: spender.team,
        Scope.TAG: spender.tag,
    }[scope]
