"""The queue's order and the gate's account."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from macroslow.limits.admission import (
    MINUTE_NS,
    FairQueue,
    Gate,
    Pass,
    Quota,
    Ticket,
    per_minute,
)
from macroslow.limits.gcra import Deferred

NOW = 10**12


@given(st.lists(st.one_of(st.sampled_from("abc"), st.just("pop"), st.integers(0, 5)), max_size=40))
def test_the_queue_equals_a_slow_round_robin(steps):
    queue = FairQueue()
    round_, lanes = [], {}  # the reference: who is in the round, and their tickets
    for step in steps:
        if step == "pop":
            assert (queue.head() is None) == (not round_)
            if round_:
                first = round_.pop(0)
                assert queue.head() is lanes[first].pop(0)
                queue.pop()
                if lanes[first]:
                    round_.append(first)
        elif isinstance(step, str):
            ticket = Ticket(step, 1)
            queue.push(ticket)
            lanes.setdefault(step, []).append(ticket)
            if step not in round_:
                round_.append(step)
        else:
            everyone = [ticket for name in round_ for ticket in lanes[name]]
            if step < len(everyone):
                gone = everyone[step]
                queue.remove(gone)
                lanes[gone.principal].remove(gone)
                if not lanes[gone.principal]:
                    round_.remove(gone.principal)
        assert len(queue) == sum(map(len, lanes.values()))


def test_one_principals_batch_does_not_hold_up_another():
    queue = FairQueue()
    batch = [Ticket("batch", 1) for _ in range(100)]
    for ticket in batch:
        queue.push(ticket)
    single = Ticket("single", 1)
    queue.push(single)
    queue.pop()
    assert queue.head() is single


def test_removing_a_ticket_that_does_not_stand_there_is_an_error():
    queue = FairQueue()
    with pytest.raises(ValueError):
        queue.remove(Ticket("a", 1))
    assert queue.head() is None


def test_both_limits_must_admit_and_a_refusal_costs_neither():
    gate = Gate(Quota(per_minute("requests", 100), per_minute("tokens", 1000)))
    assert isinstance(gate.enter(Ticket("a", 900), NOW), Pass)
    for _ in range(500):  # would use up the requests if refusals cost any
        assert isinstance(gate.enter(Ticket("a", 900), NOW), Deferred)
    assert isinstance(gate.enter(Ticket("a", 100), NOW), Pass)


def test_the_longer_of_two_waits_is_told():
    gate = Gate(Quota(per_minute("requests", 1), per_minute("tokens", 1000)))
    gate.enter(Ticket("a", 1000), NOW)
    assert gate.enter(Ticket("a", 500), NOW) == Deferred(MINUTE_NS)


def test_unused_tokens_come_back():
    gate = Gate(Quota(tokens=per_minute("tokens", 1000)))
    granted = gate.enter(Ticket("a", 1000), NOW)
    gate.leave(granted, 100, NOW)
    assert isinstance(gate.enter(Ticket("a", 900), NOW), Pass)
    assert isinstance(gate.enter(Ticket("a", 1), NOW), Deferred)


def test_a_full_gate_lets_in_one_for_each_that_leaves():
    gate = Gate(Quota(concurrent=2))
    first = gate.enter(Ticket("a", 1), NOW)
    gate.enter(Ticket("a", 1), NOW)
    assert gate.enter(Ticket("a", 1), NOW) is None
    gate.leave(first, 1, NOW)
    assert isinstance(gate.enter(Ticket("a", 1), NOW), Pass)
    assert gate.enter(Ticket("a", 1), NOW) is None


def test_a_call_larger_than_the_burst_never_fits():
    gate = Gate(Quota(tokens=per_minute("tokens", 1000, burst=300)))
    assert gate.fits(300)
    assert not gate.fits(301)
    assert Gate(Quota()).fits(10**9)


def test_a_refusal_names_the_limit_that_holds_longest():
    gate = Gate(Quota(per_minute("requests", 60), per_minute("tokens", 1000)))
    gate.enter(Ticket("a", 1000), NOW)
    error = gate.refusal(Ticket("a", 1000), NOW)
    assert (error.limit, error.count, error.period_s) == ("tokens", 1000, 60)
    assert error.retry_after_s == pytest.approx(60)


def test_a_refusal_for_want_of_places_says_so():
    gate = Gate(Quota(concurrent=1))
    gate.enter(Ticket("a", 1), NOW)
    error = gate.refusal(Ticket("a", 1), NOW)
    assert (error.limit, error.count) == ("calls at once", 1)
