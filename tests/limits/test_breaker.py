"""The breaker's table, row by row, and what it promises over any history."""

from hypothesis import given
from hypothesis import strategies as st

from macroslow.limits.admission import Verdict
from macroslow.limits.breaker import (
    FAILURES_IN_A_ROW,
    LEAST_CALLS,
    MAX_REST_NS,
    PROBE_NS,
    REST_NS,
    WINDOW_NS,
    Breaker,
    BreakerState,
)

NOW = 10**14


def fail(breaker: Breaker, now_ns: int, times: int = 1) -> None:
    for _ in range(times):
        breaker.ended(breaker.admit(now_ns), Verdict.FAILED, now_ns)


def opened(now_ns: int = NOW) -> Breaker:
    breaker = Breaker()
    fail(breaker, now_ns, FAILURES_IN_A_ROW)
    assert breaker.state(now_ns) is BreakerState.OPEN
    return breaker


def test_failures_in_a_row_open_it_and_an_answer_between_them_does_not():
    breaker = Breaker()
    for _ in range(3):
        fail(breaker, NOW, FAILURES_IN_A_ROW - 1)
        breaker.ended(breaker.admit(NOW), Verdict.ANSWERED, NOW)
    assert breaker.state(NOW) is BreakerState.CLOSED
    fail(breaker, NOW, FAILURES_IN_A_ROW)
    assert breaker.state(NOW) is BreakerState.OPEN
    assert breaker.rests_ns(NOW) == REST_NS


def test_a_share_of_failures_opens_it_too():
    breaker = Breaker()
    for at in range(LEAST_CALLS):
        verdict = Verdict.ANSWERED if at % 5 in {1, 3} else Verdict.FAILED
        assert breaker.state(NOW) is BreakerState.CLOSED
        breaker.ended(breaker.admit(NOW), verdict, NOW)
    assert breaker.state(NOW) is BreakerState.OPEN


def test_failures_of_long_ago_do_not_count_for_the_share():
    breaker = Breaker()
    for at in range(4 * LEAST_CALLS):
        now_ns = NOW + at * WINDOW_NS // 10
        breaker.ended(breaker.admit(now_ns), Verdict.ANSWERED if at % 5 in {1, 3} else Verdict.FAILED, now_ns)
    assert breaker.closed()


def test_refusals_for_want_of_room_and_callers_who_leave_say_nothing():
    breaker = Breaker()
    for verdict in (Verdict.LIMITED, Verdict.UNKNOWN):
        for _ in range(100):
            breaker.ended(breaker.admit(NOW), verdict, NOW)
    assert breaker.closed()


def test_after_its_rest_one_call_goes_and_its_answer_closes_it():
    breaker = opened()
    then_ns = NOW + REST_NS
    assert breaker.rests_ns(then_ns - 1) == 1
    assert breaker.state(then_ns) is BreakerState.HALF_OPEN
    assert breaker.rests_ns(then_ns) == 0
    probe = breaker.admit(then_ns)
    assert breaker.rests_ns(then_ns) > 0  # nobody else
    breaker.ended(probe, Verdict.ANSWERED, then_ns + 1)
    assert breaker.closed()


def test_a_probe_that_fails_doubles_the_rest_up_to_a_bound():
    breaker, now_ns, rests_ns = opened(), NOW, []
    for _ in range(8):
        now_ns += breaker.rests_ns(now_ns)
        fail(breaker, now_ns)
        rests_ns.append(breaker.rests_ns(now_ns))
    assert rests_ns[:3] == [2 * REST_NS, 4 * REST_NS, 8 * REST_NS]
    assert rests_ns[-1] == MAX_REST_NS


def test_a_probe_whose_caller_left_lets_another_go_at_once():
    breaker = opened()
    now_ns = NOW + REST_NS
    breaker.ended(breaker.admit(now_ns), Verdict.UNKNOWN, now_ns)
    assert breaker.rests_ns(now_ns) == 0
    assert breaker.state(now_ns) is BreakerState.HALF_OPEN


def test_a_probe_that_never_ends_does_not_close_the_door_for_ever():
    breaker = opened()
    now_ns = NOW + REST_NS
    breaker.admit(now_ns)
    assert breaker.rests_ns(now_ns + PROBE_NS) == 0


def test_calls_from_before_say_nothing_afterwards():
    breaker = Breaker()
    old = [breaker.admit(NOW) for _ in range(50)]
    fail(breaker, NOW, FAILURES_IN_A_ROW)
    now_ns = NOW + REST_NS
    breaker.ended(breaker.admit(now_ns), Verdict.ANSWERED, now_ns)
    for each in old:
        breaker.ended(each, Verdict.FAILED, now_ns)
    assert breaker.closed()


@given(st.lists(st.tuples(st.sampled_from(Verdict), st.integers(0, 40 * 10**9)), max_size=80))
def test_the_three_states_are_told_apart_by_when_the_next_may_go(history):
    breaker, now_ns = Breaker(), NOW
    for verdict, gap_ns in history:
        now_ns += gap_ns
        rests_ns = breaker.rests_ns(now_ns)
        state = breaker.state(now_ns)
        assert (state is BreakerState.OPEN) <= (rests_ns > 0)
        assert (state is BreakerState.CLOSED) <= (rests_ns == 0)
        assert rests_ns <= max(MAX_REST_NS, PROBE_NS)
        if not rests_ns:
            breaker.ended(breaker.admit(now_ns), verdict, now_ns)
