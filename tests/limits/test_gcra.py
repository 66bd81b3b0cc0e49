"""GCRA: properties over generated traffic, and the published conformance rule as a slow reference."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from macroslow.limits.gcra import Admitted, Deferred, Limit, admit, settle

limits = st.builds(
    lambda count, period_ns, burst: Limit("t", count, period_ns, burst),
    st.integers(1, 1000),
    st.integers(1, 10**12),
    st.integers(1, 500),
)


@given(limits, st.lists(st.tuples(st.integers(0, 10**11), st.integers(1, 500)), max_size=60))
def test_no_interval_ever_admits_more_than_the_burst_and_the_rate(limit, traffic):
    tat_ns, now_ns, admitted = 0, 10**15, []
    for gap_ns, cost in traffic:
        now_ns += gap_ns
        if cost > limit.burst:
            continue
        decision = admit(limit, tat_ns, now_ns, cost)
        if isinstance(decision, Admitted):
            tat_ns = decision.tat_ns
            admitted.append((now_ns, cost))
    for first in range(len(admitted)):
        units = 0
        for at_ns, cost in admitted[first:]:
            units += cost
            elapsed_ns = at_ns - admitted[first][0]
            assert units * limit.interval_ns <= limit.burst * limit.interval_ns + elapsed_ns


@given(limits, st.integers(0, 10**12), st.integers(0, 10**12), st.data())
def test_a_deferred_request_passes_after_exactly_the_time_it_was_told(limit, tat_ns, now_ns, data):
    cost = data.draw(st.integers(1, limit.burst))
    decision = admit(limit, tat_ns, now_ns, cost)
    if isinstance(decision, Deferred):
        then_ns = now_ns + decision.retry_after_ns
        assert isinstance(admit(limit, tat_ns, then_ns, cost), Admitted)
        assert isinstance(admit(limit, tat_ns, then_ns - 1, cost), Deferred)


@given(limits, st.lists(st.tuples(st.integers(0, 10**11), st.integers(1, 500)), max_size=60))
def test_it_decides_like_the_continuous_leaky_bucket_of_the_recommendation(limit, traffic):
    """I.371 defines the same algorithm twice; here is the other form, for units that cost more than 1."""
    tat_ns, now_ns = 0, 10**15
    bucket_ns, last_ns = 0, now_ns
    for gap_ns, cost in traffic:
        now_ns += gap_ns
        if cost > limit.burst:
            continue
        drained_ns = max(0, bucket_ns - (now_ns - last_ns))
        fits = drained_ns + cost * limit.interval_ns <= limit.burst * limit.interval_ns
        decision = admit(limit, tat_ns, now_ns, cost)
        assert isinstance(decision, Admitted) == fits
        if isinstance(decision, Admitted):
            tat_ns = decision.tat_ns
            bucket_ns, last_ns = drained_ns + cost * limit.interval_ns, now_ns


@given(limits, st.integers(0, 10**12), st.integers(0, 10**12), st.data())
def test_a_late_refund_never_leaves_more_room_than_if_the_units_had_never_been_taken(
    limit, now_ns, later_ns, data
):
    cost = data.draw(st.integers(1, limit.burst))
    used = data.draw(st.integers(0, cost))
    granted = admit(limit, 0, now_ns, cost)
    assert isinstance(granted, Admitted)
    then_ns = now_ns + later_ns
    tat_ns = settle(limit, granted.tat_ns, then_ns, granted, used)
    untouched_ns = 0
    assert max(tat_ns, then_ns) >= max(untouched_ns, then_ns)
    assert tat_ns <= granted.tat_ns
    if later_ns == 0:
        assert tat_ns == now_ns + used * limit.interval_ns


@given(limits, st.integers(0, 10**12), st.integers(0, 10**6), st.integers(0, 10**6))
def test_an_overrun_is_charged_from_now_on(limit, now_ns, later_ns, over):
    granted = admit(limit, 0, now_ns, 1)
    assert isinstance(granted, Admitted)
    then_ns = now_ns + later_ns
    tat_ns = settle(limit, granted.tat_ns, then_ns, granted, 1 + over)
    if over:
        assert tat_ns == max(granted.tat_ns, then_ns) + over * limit.interval_ns


@pytest.mark.parametrize("cost", [0, -1, 11, 10**30])
def test_a_cost_that_no_wait_would_help_is_an_error(cost):
    with pytest.raises(ValueError, match=r"not in 1\.\.10"):
        admit(Limit("t", 5, 1, 10), 0, 0, cost)


@pytest.mark.parametrize(("count", "period_ns", "burst"), [(0, 1, 1), (1, 0, 1), (1, 1, 0), (-1, 1, 1)])
def test_a_limit_of_nothing_is_an_error(count, period_ns, burst):
    with pytest.raises(ValueError, match="below 1"):
        Limit("t", count, period_ns, burst)
