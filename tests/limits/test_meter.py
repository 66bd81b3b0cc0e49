"""One limit: what may be let in when, and what reports change about it."""

import random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from macroslow.limits.admission import Charge, Window
from macroslow.limits.meter import Meter
from macroslow.limits.reported import Figures
from macroslow.ports import MINUTE_NS

S = 10**9
START_NS = 10**14
LIMIT = 600

loads = st.lists(st.tuples(st.integers(0, 9 * S), st.integers(1, 200), st.integers(0, 240)), max_size=30)
windows = st.sampled_from(Window)
charges = st.sampled_from([*Charge, None])


def filled(history, window=None, charge=None) -> tuple[Meter, int]:
    """A meter after calls that were let in as soon as they fit; every third is still under way."""
    meter, now_ns = Meter("t", LIMIT, window, charge), START_NS
    for number, (gap_ns, units, used) in enumerate(history):
        now_ns = meter.fits_ns(units, now_ns + gap_ns)
        taken_ns = meter.take(units, now_ns, now_ns)
        if number % 3:
            meter.end(taken_ns, units, now_ns, min(used, units), now_ns)
    return meter, now_ns


@settings(max_examples=60)
@given(loads, windows, charges, st.integers(1, 500), st.integers(0, 20 * S))
def test_what_is_admitted_now_is_what_fits_now_and_a_wait_is_exact(history, window, charge, units, later_ns):
    meter, now_ns = filled(history, window, charge)
    now_ns += later_ns
    fits_ns = meter.fits_ns(units, now_ns)
    assert meter.admits(units, now_ns) == (fits_ns == now_ns)
    if fits_ns > now_ns:
        assert not meter.admits(units, fits_ns - 1)
        assert meter.admits(units, fits_ns)


@settings(max_examples=60)
@given(loads, windows, charges, st.integers(1, 500), st.integers(1, 300))
@example([(0, 54, 0), (0, 200, 0), (0, 200, 0), (0, 48, 0)], Window.SLIDING, None, 99, 1)
def test_what_is_spared_delays_nobody_and_a_unit_more_would(history, window, charge, large, later_s):
    meter, now_ns = filled(history, window, charge)
    start_ns = max(meter.fits_ns(large, now_ns), now_ns + later_s * S // 10)
    if start_ns >= now_ns + MINUTE_NS:
        return
    spare = meter.spare(large, start_ns, now_ns)
    assert spare >= 0
    meter.take(spare, now_ns, now_ns)
    assert meter.fits_ns(large, now_ns) <= start_ns
    meter.take(1, now_ns, now_ns)
    assert meter.fits_ns(large, now_ns) > start_ns


@settings(max_examples=60)
@given(loads, windows, charges, st.integers(1, 200), st.integers(0, 70 * S))
@example([(0, 31, 0), (0, 82, 0)], Window.BUCKET, Charge.MOST, 1, 3_158_056_961)
def test_what_never_went_out_leaves_no_trace_but_time(history, window, charge, units, later_ns):
    meter, now_ns = filled(history, window, charge)
    before = meter.fits_ns(500, now_ns)
    taken_ns = meter.take(units, now_ns, now_ns)
    meter.take_back(taken_ns, units, now_ns, now_ns)
    assert meter.fits_ns(500, now_ns) <= before
    taken_ns = meter.take(units, now_ns, now_ns)
    meter.slots.advance(now_ns + later_ns)
    meter.take_back(taken_ns, units, now_ns, now_ns + later_ns)
    assert meter.fits_ns(500, now_ns + later_ns) <= max(before, now_ns + later_ns)


@settings(max_examples=40)
@given(loads, windows, charges, st.integers(0, 70 * S))
def test_a_meter_that_was_stored_decides_as_if_it_had_not_been(history, window, charge, later_ns):
    meter, now_ns = filled(history, window, charge)
    restored = Meter("t", LIMIT, window, charge)
    now_ns += later_ns
    restored.restore(meter.state(), now_ns)
    meter.slots.advance(now_ns)
    for units in (1, 100, 500):
        assert restored.fits_ns(units, now_ns) == meter.fits_ns(units, now_ns)
    assert restored.state() == meter.state()


@settings(max_examples=40)
@given(loads, windows, charges)
def test_everything_comes_back_when_nothing_happens(history, window, charge):
    meter, now_ns = filled(history, window, charge)
    later_ns = now_ns + 2 * MINUTE_NS
    whole = Meter("t", LIMIT, window, charge)
    assert meter.remaining(later_ns) == whole.remaining(later_ns)


def test_without_a_limit_everything_goes_and_counts_once_there_is_one():
    meter = Meter("t", None, None, None)
    assert meter.admits(10**12, START_NS)
    meter.take(500, START_NS, START_NS)
    assert meter.fits_ns(10**12, START_NS) == START_NS
    meter.observe(Figures(LIMIT, 100), START_NS, START_NS + S)
    assert meter.limit.count == LIMIT
    assert meter.remaining(START_NS + S) == 100


def test_the_operators_number_is_an_upper_bound_of_what_is_reported():
    meter = Meter("t", LIMIT, None, None)
    meter.observe(Figures(10 * LIMIT, 10 * LIMIT), START_NS, START_NS)
    assert meter.limit.count == LIMIT
    meter.observe(Figures(LIMIT // 2, LIMIT // 2), START_NS, START_NS)
    assert meter.limit.count == LIMIT // 2
    meter.observe(Figures(10 * LIMIT, 10 * LIMIT), START_NS, START_NS)
    assert meter.limit.count == LIMIT


@pytest.mark.parametrize("window", Window)
def test_what_others_use_of_the_account_is_added_at_once_and_until_it_is_back(window):
    meter = Meter("t", LIMIT, window, None)
    meter.observe(Figures(LIMIT, 100, 20 * S), START_NS, START_NS)
    assert 100 - LIMIT // 30 <= meter.remaining(START_NS) <= 100 + LIMIT // 50
    meter.observe(Figures(LIMIT, 100, 20 * S), START_NS, START_NS)
    assert 100 - LIMIT // 30 <= meter.remaining(START_NS) <= 100 + LIMIT // 50
    later_ns = START_NS + (22 * S if window is Window.SLIDING else 52 * S)
    assert meter.remaining(later_ns) >= LIMIT - LIMIT // 30 - 1


def drive(meter: Meter, say, seconds: int, *, most: int = 20, used: int = 8, seed: int = 1) -> int:
    """Calls of `most` units that use `used`, twenty in ten seconds, with a report each; the time after."""
    draw, now_ns, calls = random.Random(seed), START_NS, []
    for _ in range(seconds * 2):
        now_ns += draw.randint(0, S)
        if meter.admits(most, now_ns):
            taken_ns = meter.take(most, now_ns, now_ns)
            calls.append(now_ns)
            meter.end(taken_ns, most, now_ns, used, now_ns)
        meter.observe(say(calls, now_ns), now_ns, now_ns)
    return now_ns


def bucket_says(cost: int):
    def say(calls, now_ns):
        lacks, last_ns = 0, START_NS
        for at_ns in [*calls, now_ns]:
            lacks = max(0, lacks - (at_ns - last_ns) * LIMIT / MINUTE_NS) + cost
            last_ns = at_ns
        lacks -= cost
        return Figures(LIMIT, int(LIMIT - lacks), int(lacks * MINUTE_NS / LIMIT))

    return say


def fixed_says(cost: int, began_ns: int = START_NS + 17 * S):
    def say(calls, now_ns):
        since_ns = now_ns - (now_ns - began_ns) % MINUTE_NS
        used = cost * sum(at_ns >= since_ns for at_ns in calls)
        return Figures(LIMIT, max(0, LIMIT - used), since_ns + MINUTE_NS - now_ns)

    return say


def sliding_says(cost: int):
    def say(calls, now_ns):
        alive = [at_ns for at_ns in calls if at_ns > now_ns - MINUTE_NS]
        reset_ns = alive[0] + MINUTE_NS - now_ns if alive else 0
        return Figures(LIMIT, max(0, LIMIT - cost * len(alive)), reset_ns)

    return say


def test_a_bucket_is_known_after_some_seconds_and_so_is_what_it_charges():
    for cost, charge in ((8, Charge.USED), (20, Charge.MOST)):
        meter = Meter("t", LIMIT, None, None)
        drive(meter, bucket_says(cost), 30)
        assert (meter.window, meter.charge) == (Window.BUCKET, charge)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("says", [fixed_says, sliding_says])
def test_no_other_way_of_counting_is_ever_taken_for_a_bucket(says, seed):
    meter = Meter("t", LIMIT, None, None)
    for cost in (8, 20):
        for seconds in (10, 60, 200):
            drive(meter, says(cost), seconds, seed=seed)
            assert meter.window is Window.SLIDING


@pytest.mark.parametrize("says", [fixed_says, sliding_says])
def test_that_only_what_was_used_counts_is_known_after_a_minute_or_two(says):
    meter = Meter("t", LIMIT, None, None)
    drive(meter, says(8), 150)
    assert meter.charge is Charge.USED


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("says", [fixed_says, sliding_says, bucket_says])
def test_where_the_most_counts_it_is_never_believed_that_it_does_not(says, seed):
    meter = Meter("t", LIMIT, None, None)
    drive(meter, says(20), 200, seed=seed)
    assert meter.charge is Charge.MOST


def test_what_was_learned_is_unlearned_when_reports_contradict_it():
    meter = Meter("t", LIMIT, None, None)
    now_ns = drive(meter, bucket_says(8), 30)
    for _ in range(3):
        now_ns += S
        meter.observe(Figures(LIMIT, LIMIT // 2, 55 * S), now_ns, now_ns)
    assert (meter.window, meter.charge) == (Window.SLIDING, Charge.MOST)


def test_what_was_learned_is_doubted_after_a_refusal_and_what_was_said_is_not():
    meter = Meter("t", LIMIT, None, None)
    drive(meter, bucket_says(8), 30)
    meter.doubt()
    assert (meter.window, meter.charge) == (Window.SLIDING, Charge.MOST)
    meter = Meter("t", LIMIT, Window.BUCKET, Charge.USED)
    meter.doubt()
    assert (meter.window, meter.charge) == (Window.BUCKET, Charge.USED)
