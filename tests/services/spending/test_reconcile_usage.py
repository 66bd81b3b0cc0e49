"""The provider's count against ours: more there is found, wherever it is; less or as much is not."""

from hypothesis import given
from hypothesis import strategies as st

from macroslow.metering.ledger import DailyUsage
from macroslow.services.spending.provider_reports import Reported, Tokens
from macroslow.services.spending.reconcile_usage import DayOfMoney, bare_name, reconcile

DAYS = ["2026-01-30", "2026-01-31"]
COUNTS = st.integers(0, 10**9)
ROWS = st.dictionaries(
    st.tuples(st.sampled_from(DAYS), st.sampled_from(["a", "b", "c"])), st.tuples(COUNTS, COUNTS, COUNTS)
)


def booked(rows: dict[tuple[str, str], tuple[int, int, int]]) -> list[DailyUsage]:
    return [DailyUsage(day, model, 1, into, out, usd) for (day, model), (into, out, usd) in rows.items()]


def reported(rows: dict[tuple[str, str], tuple[int, int, int]]) -> Reported:
    tokens = {key: Tokens(into, out) for key, (into, out, _) in rows.items()}
    money = {day: sum(usd for (of, _), (_, _, usd) in rows.items() if of == day) for day in DAYS}
    return Reported(tokens, money)


@given(ROWS)
def test_the_same_on_both_sides_agrees(rows):
    assert reconcile(booked(rows), reported(rows), upstream_names={}, tolerance_per_mille=0).agrees


@given(
    ROWS, st.sampled_from(DAYS), st.sampled_from(["a", "b", "new"]), st.integers(1, 10**6), st.integers(0, 2)
)
def test_whatever_was_spent_around_the_gateway_is_found_with_its_day(rows, day, model, more, which):
    theirs = dict(rows)
    counts = list(theirs.get((day, model), (0, 0, 0)))
    counts[which] += more
    theirs[day, model] = (counts[0], counts[1], counts[2])
    found = reconcile(booked(rows), reported(theirs), upstream_names={}, tolerance_per_mille=0)
    assert not found.agrees
    if which == 2:
        assert [one.day for one in found.money_surplus] == [day]
        assert found.reported_usd_micros - found.booked_usd_micros == more
    else:
        (surplus,) = found.surpluses
        assert (surplus.model, [one.day for one in surplus.days]) == (model, [day])


@given(ROWS, ROWS)
def test_more_here_than_there_is_no_surplus(rows, extra):
    ours = {key: rows.get(key, (0, 0, 0)) for key in rows.keys() | extra.keys()}
    ours = {
        key: tuple(x + y for x, y in zip(value, extra.get(key, (0, 0, 0)), strict=True))
        for key, value in ours.items()
    }
    found = reconcile(booked(ours), reported(rows), upstream_names={}, tolerance_per_mille=0)  # type: ignore[arg-type]
    assert found.agrees is not False
    assert not found.surpluses + found.money_surplus  # type: ignore[operator]


@given(ROWS)
def test_where_the_provider_counted_nothing_of_what_is_booked_there_is_no_verdict(rows):
    """As of a project that does not exist."""
    found = reconcile(booked(rows), reported({}), upstream_names={})
    assert found.agrees is (None if found.booked_usd_micros else True)


def test_the_tolerance_is_the_last_thousandth_that_agrees():
    ours = {(DAYS[0], "a"): (1000, 1000, 1000)}
    for count, agrees in ((1010, True), (1011, False)):
        theirs = {(DAYS[0], "a"): (count, 1000, 1000)}
        assert reconcile(booked(ours), reported(theirs), upstream_names={}).agrees is agrees


def test_a_call_over_midnight_is_counted_on_one_day_there_and_on_the_next_here():
    ours = {(DAYS[1], "a"): (500, 100, 9)}
    theirs = {(DAYS[0], "a"): (500, 100, 9)}
    assert reconcile(booked(ours), reported(theirs), upstream_names={}, tolerance_per_mille=0).agrees


def test_a_snapshot_and_the_name_of_the_provider_are_the_same_model():
    ours = {(DAYS[0], "small"): (5, 5, 5), (DAYS[0], "gpt-4o-2024-08-06"): (3, 3, 3)}
    theirs = {(DAYS[0], "gpt-4o-2024-11-20"): (8, 8, 8)}
    found = reconcile(
        booked(ours), reported(theirs), upstream_names={"small": "gpt-4o"}, tolerance_per_mille=0
    )
    assert found.agrees
    assert [row.model for row in found.rows] == ["gpt-4o"]
    assert bare_name("claude-sonnet-4-20250514") == "claude-sonnet-4"
    assert bare_name("gpt-4.1") == "gpt-4.1"
    assert bare_name("gpt-3.5-turbo-0125") == "gpt-3.5-turbo-0125"


def test_money_alone_is_told_by_the_day():
    ours = {(DAYS[0], "a"): (5, 5, 100), (DAYS[1], "a"): (5, 5, 100)}
    theirs = {(DAYS[0], "a"): (5, 5, 100), (DAYS[1], "a"): (5, 5, 300)}
    found = reconcile(booked(ours), reported(theirs), upstream_names={})
    assert not found.surpluses
    assert found.money_surplus == (DayOfMoney(DAYS[1], 100, 300),)
