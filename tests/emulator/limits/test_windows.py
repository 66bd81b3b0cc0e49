"""The windows against slow obvious references, and every wait to the nanosecond."""

from collections.abc import Callable
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from macroslow.emulator.limits.bucket import Bucket
from macroslow.emulator.limits.fixed import FixedWindow
from macroslow.emulator.limits.sliding import SlidingWindow
from macroslow.emulator.limits.window import Window

PERIOD_NS = 60 * 10**9
WINDOWS: list[Callable[[int, int], Window]] = [Bucket, FixedWindow, SlidingWindow]
# Gaps that often fall on and around the edges of periods.
STEPS = st.lists(
    st.tuples(
        st.integers(0, 90 * 10**9) | st.sampled_from([0, 1, PERIOD_NS - 1, PERIOD_NS, PERIOD_NS + 1]),
        st.integers(0, 1_000),
    ),
    max_size=15,
)
each_window = pytest.mark.parametrize("make", WINDOWS, ids=lambda make: make.__name__)


def admitted(window: Window, steps: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """What the window lets through: when, and how many units."""
    now_ns, taken = 0, []
    for gap_ns, units in steps:
        now_ns += gap_ns
        window.advance(now_ns)
        if window.wait_ns(units) == 0:
            window.take(units)
            taken.append((now_ns, units))
    return taken


@given(count=st.integers(1, 3_000), steps=STEPS)
def test_a_bucket_lets_through_what_an_even_level_allows(count: int, steps: list[tuple[int, int]]) -> None:
    """Reference: rational arithmetic on a level that rises evenly and is capped."""
    level, window, now_ns = Fraction(count), Bucket(count, PERIOD_NS), 0
    for gap_ns, units in steps:
        now_ns += gap_ns
        level = min(Fraction(count), level + Fraction(gap_ns * count, PERIOD_NS))
        window.advance(now_ns)
        assert (window.wait_ns(units) == 0) == (units <= level)
        if units <= level:
            level -= units
            window.take(units)
        assert (window.remaining, window.used) == (int(level), count - int(level))


@given(count=st.integers(1, 3_000), steps=STEPS)
def test_a_fixed_window_lets_through_what_each_period_allows(
    count: int, steps: list[tuple[int, int]]
) -> None:
    sums: dict[int, int] = {}
    window, now_ns = FixedWindow(count, PERIOD_NS), 0
    for gap_ns, units in steps:
        now_ns += gap_ns
        window.advance(now_ns)
        used = sums.setdefault(now_ns // PERIOD_NS, 0)
        assert (window.wait_ns(units) == 0) == (used + units <= count)
        if used + units <= count:
            window.take(units)
            sums[now_ns // PERIOD_NS] += units
        assert window.remaining == count - sums[now_ns // PERIOD_NS]


@given(count=st.integers(1, 3_000), steps=STEPS)
def test_a_sliding_window_lets_through_what_the_last_period_allows(
    count: int, steps: list[tuple[int, int]]
) -> None:
    log: list[tuple[int, int]] = []
    window, now_ns = SlidingWindow(count, PERIOD_NS), 0
    for gap_ns, units in steps:
        now_ns += gap_ns
        window.advance(now_ns)
        used = sum(taken for at_ns, taken in log if at_ns > now_ns - PERIOD_NS)
        assert (window.wait_ns(units) == 0) == (used + units <= count)
        if used + units <= count:
            window.take(units)
            log.append((now_ns, units))
            used += units
        assert (window.remaining, window.used) == (count - used, used)


@given(count=st.integers(1, 3_000), steps=STEPS)
def test_no_span_of_a_period_holds_more_than_a_sliding_window_allows(
    count: int, steps: list[tuple[int, int]]
) -> None:
    """The definition itself, over the whole outcome and every span that could be the worst."""
    taken = admitted(SlidingWindow(count, PERIOD_NS), steps)
    for begins_ns, _ in taken:
        assert sum(units for at_ns, units in taken if begins_ns <= at_ns < begins_ns + PERIOD_NS) <= count


@given(count=st.integers(1, 3_000), steps=STEPS)
def test_no_span_holds_more_than_a_full_bucket_and_what_it_regains(
    count: int, steps: list[tuple[int, int]]
) -> None:
    taken = admitted(Bucket(count, PERIOD_NS), steps)
    for first in range(len(taken)):
        for last in range(first, len(taken)):
            regained = Fraction((taken[last][0] - taken[first][0]) * count, PERIOD_NS)
            assert sum(units for _, units in taken[first : last + 1]) <= count + regained


@each_window
@given(count=st.integers(1, 3_000), steps=STEPS, units=st.integers(0, 3_000))
def test_after_exactly_the_wait_there_is_room_and_a_nanosecond_sooner_there_is_not(
    make: Callable[[int, int], Window], count: int, steps: list[tuple[int, int]], units: int
) -> None:
    def after_steps() -> tuple[Window, int]:
        window = make(count, PERIOD_NS)
        admitted(window, steps)
        return window, sum(gap_ns for gap_ns, _ in steps)

    window, now_ns = after_steps()
    wait_ns = window.wait_ns(units)
    assert (wait_ns is None) == (units > count)
    if wait_ns is None:
        return
    if wait_ns:
        window.advance(now_ns + wait_ns - 1)
        assert window.wait_ns(units) == 1
    window, _ = after_steps()
    window.advance(now_ns + wait_ns)
    assert window.wait_ns(units) == 0


@each_window
@given(count=st.integers(1, 3_000), steps=STEPS)
def test_after_the_reset_everything_is_free_and_a_nanosecond_sooner_it_is_not(
    make: Callable[[int, int], Window], count: int, steps: list[tuple[int, int]]
) -> None:
    window = make(count, PERIOD_NS)
    admitted(window, [(gap_ns, units + 1) for gap_ns, units in steps])
    now_ns, reset_ns = sum(gap_ns for gap_ns, _ in steps), window.reset_ns
    if reset_ns:
        window.advance(now_ns + reset_ns - 1)
        assert window.reset_ns == 1
    window.advance(now_ns + reset_ns)
    assert (window.reset_ns, window.remaining) == (0, count)


@each_window
def test_a_clock_that_runs_backwards_brings_nothing_back(make: Callable[[int, int], Window]) -> None:
    window = make(60, PERIOD_NS)
    window.advance(100 * 10**9)
    window.take(60)
    for time_s in (50, 100):
        window.advance(time_s * 10**9)
        assert window.remaining == 0
    window.advance(160 * 10**9)
    assert window.remaining == 60


def test_a_fixed_window_lets_twice_its_count_through_around_the_end_of_a_minute() -> None:
    """Which is what makes it another algorithm than the others."""
    window = FixedWindow(10, PERIOD_NS)
    assert admitted(window, [(PERIOD_NS - 1, 10), (1, 10)]) == [(PERIOD_NS - 1, 10), (PERIOD_NS, 10)]
    assert len(admitted(SlidingWindow(10, PERIOD_NS), [(PERIOD_NS - 1, 10), (1, 10)])) == 1


def test_a_unit_that_comes_between_two_nanoseconds_counts_from_the_later() -> None:
    """A seventh of a minute is 8,571,428,571.43 ns."""
    window = Bucket(7, PERIOD_NS)
    window.take(7)
    window.advance(8_571_428_571)
    assert (window.remaining, window.wait_ns(1)) == (0, 1)
    window.advance(8_571_428_572)
    assert (window.remaining, window.wait_ns(1)) == (1, 0)
