"""An hour that costs too much: told, and nothing told that is usual, new or small."""

from hypothesis import given
from hypothesis import strategies as st

from macroslow.services.spending.sudden_rise import DAYS, FLOOR_USD_MICROS, MIN_DAYS, SuddenRise

DOLLAR = 1_000_000
WEEK = dict.fromkeys(range(100, 107), 8 * DOLLAR)  # a usual hour is a dollar


def watch(rise: SuddenRise, hours: list[int], days: dict[int, int]) -> list[int]:
    """Feed what each hour cost, looking twice in each; return the hours that were told."""
    total, told = 0, []
    rise.look({"k": total}, {"k": days}, 0)
    for hour, cost in enumerate(hours):
        for part in (cost // 2, cost - cost // 2):
            total += part
            told += [one.hour for one in rise.look({"k": total}, {"k": days}, hour)]
    return told


def test_an_hour_of_more_than_four_usual_ones_is_told() -> None:
    assert watch(SuddenRise(4.0), [DOLLAR, DOLLAR, 4 * DOLLAR], WEEK) == []
    assert watch(SuddenRise(4.0), [DOLLAR, DOLLAR, 5 * DOLLAR], WEEK) == [2]
    (rise,) = SuddenRiseLook().rises
    assert (rise.hour_usd_micros, rise.usual_usd_micros) == (5 * DOLLAR, DOLLAR)


class SuddenRiseLook:
    def __init__(self) -> None:
        rise = SuddenRise(4.0)
        rise.look({"k": 0}, {"k": WEEK}, 9)
        self.rises = rise.look({"k": 5 * DOLLAR}, {"k": WEEK}, 9)


@given(st.integers(0, MIN_DAYS - 1), st.lists(st.integers(0, 10**12), max_size=5))
def test_nothing_is_told_of_a_key_at_its_first_use(days: int, hours: list[int]) -> None:
    known = dict.fromkeys(range(100, 100 + days), 1) | dict.fromkeys(range(110, 113), 0)
    assert watch(SuddenRise(4.0), hours, known) == []


@given(st.lists(st.integers(0, FLOOR_USD_MICROS - 1), max_size=9))
def test_nothing_is_told_of_small_amounts(hours: list[int]) -> None:
    assert watch(SuddenRise(4.0), hours, dict.fromkeys(range(100, 107), 1)) == []


@given(st.lists(st.integers(0, DOLLAR), max_size=20))
def test_nothing_is_told_of_usual_hours(hours: list[int]) -> None:
    assert watch(SuddenRise(4.0), hours, WEEK) == []


def test_a_job_that_spends_a_day_in_an_hour_is_told_once_and_then_known() -> None:
    daily = [0] * 24
    daily[3] = 8 * DOLLAR
    assert watch(SuddenRise(4.0), daily * DAYS, WEEK) == [3]


def test_what_was_spent_before_the_start_is_not_this_hours() -> None:
    rise = SuddenRise(4.0)
    assert rise.look({"k": 10**12}, {"k": WEEK}, 5) == []
    assert rise.look({"k": 10**12 + DOLLAR}, {"k": WEEK}, 5) == []


def test_switched_off_it_tells_nothing_and_remembers_nothing() -> None:
    rise = SuddenRise(0)
    assert watch(rise, [0, 10**12], WEEK) == []
    assert not rise._seen


def test_keys_that_are_gone_are_forgotten_and_hours_are_bounded() -> None:
    rise = SuddenRise(4.0)
    for hour in range(1000):
        rise.look({"k": hour}, {}, hour)
    assert len(rise._seen["k"].hours) == DAYS * 24
    rise.look({}, {}, 1001)
    assert not rise._seen
