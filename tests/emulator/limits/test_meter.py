"""All limits of one key and model together: all or nothing, the longest wait, headers that lag."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from macroslow.emulator.limits import Algorithm, Cost, Exceeded, Kind, Limits, Meter, duration
from macroslow.ports import DAY_NS, MINUTE_NS

# Limit, Used, Requested and "Please try again in" of refusals that users of the service published
# (GitHub: BuilderIO/micro-agent 86, openai/codex 88, semanser/codel 72, FoundationAgents/MetaGPT 523).
PUBLISHED = [
    (30_000, 29_937, 385, "644ms"),
    (200_000, 162_960, 42_288, "1.574s"),
    (30_000, 14_567, 24_754, "18.642s"),
    (10_000, 8_554, 3_082, "9.816s"),
]
SECOND_NS = 10**9


def cost(tokens: int) -> Cost:
    return Cost(tokens, 0)


@pytest.mark.parametrize(("limit", "used", "requested", "wait"), PUBLISHED)
def test_a_refusal_names_the_same_wait_as_the_service_did(
    limit: int, used: int, requested: int, wait: str
) -> None:
    meter = Meter(Limits(tokens=limit))
    assert meter.admit(cost(used), now_ns=1) is None
    refused = meter.admit(cost(requested), now_ns=1)
    assert isinstance(refused, Exceeded)
    assert (refused.kind, refused.count, refused.used) == ("tokens", limit, used)
    assert refused.wait_ns is not None
    # Up to the millisecond: the service cuts its last digit where we round up, so as never to say too little.
    assert duration(refused.wait_ns // 10**6 * 10**6) == wait


@given(
    algorithm=st.sampled_from(Algorithm),
    counts=st.fixed_dictionaries(
        {},
        optional={
            "requests": st.integers(1, 300),
            "tokens": st.integers(1, 10_000),
            "input_tokens": st.integers(1, 10_000),
            "output_tokens": st.integers(1, 10_000),
            "requests_a_day": st.integers(1, 300),
        },
    ),
    calls=st.lists(
        st.tuples(st.integers(0, 2 * SECOND_NS), st.builds(Cost, st.integers(0, 1000), st.integers(0, 1000))),
        max_size=20,
    ),
    last=st.builds(Cost, st.integers(0, 1000), st.integers(0, 1000)),
)
def test_under_every_algorithm_the_wait_is_exact_and_a_refusal_takes_nothing(
    algorithm: Algorithm, counts: dict[str, int], calls: list[tuple[int, Cost]], last: Cost
) -> None:
    def after_calls() -> tuple[Meter, int]:
        meter, now_ns = Meter(Limits(algorithm=algorithm, **counts)), 0
        for gap_ns, one in calls:
            now_ns += gap_ns
            meter.admit(one, now_ns)
        return meter, now_ns

    meter, now_ns = after_calls()
    before = meter.views(now_ns)
    refused = meter.admit(last, now_ns)
    if refused is None:
        return
    assert meter.views(now_ns) == before
    if refused.wait_ns is None:
        assert meter.admit(last, now_ns + 10 * DAY_NS) is not None
    else:
        sooner = meter.admit(last, now_ns + refused.wait_ns - 1)
        assert sooner is not None
        assert sooner.wait_ns == 1
        assert meter.admit(last, now_ns + refused.wait_ns) is None


def test_of_two_limits_the_one_that_takes_longer_is_named() -> None:
    meter = Meter(Limits(requests=1, tokens=60))
    assert meter.admit(cost(60), 0) is None
    refused = meter.admit(cost(1), 0)
    assert refused is not None
    assert (refused.kind, refused.wait_ns) == ("requests", MINUTE_NS)


def test_input_and_output_are_limited_apart() -> None:
    meter = Meter(Limits(input_tokens=100, output_tokens=10))
    assert meter.admit(Cost(90, 1), 0) is None
    refused = meter.admit(Cost(1, 10), 0)
    assert refused is not None
    assert (refused.kind, refused.used, refused.requested) == (Kind.OUTPUT_TOKENS, 1, 10)


@given(rpm=st.integers(1, 300), gaps_ns=st.lists(st.integers(0, SECOND_NS) | st.just(SECOND_NS), max_size=60))
def test_by_the_second_no_second_has_more_than_its_share(rpm: int, gaps_ns: list[int]) -> None:
    meter, now_ns, passed = Meter(Limits(requests=rpm, algorithm=Algorithm.SECOND)), 0, []
    for gap_ns in gaps_ns:
        now_ns += gap_ns
        if meter.admit(cost(0), now_ns) is None:
            passed.append(now_ns)
    for begins_ns in passed:
        assert sum(begins_ns <= at_ns < begins_ns + SECOND_NS for at_ns in passed) <= -(-rpm // 60)


def test_by_the_second_the_share_is_rounded_up_and_tokens_may_be_larger_than_theirs() -> None:
    meter = Meter(Limits(requests=61, tokens=600, algorithm=Algorithm.SECOND))
    assert meter.admit(cost(500), 0) is None
    assert meter.admit(cost(0), 0) is None
    refused = meter.admit(cost(0), 0)
    assert refused is not None
    assert (refused.kind, refused.count, refused.wait_ns) == (Kind.REQUESTS_A_SECOND, 2, SECOND_NS)


def test_a_day_regains_its_requests_evenly() -> None:
    meter = Meter(Limits(requests_a_day=24))
    for _ in range(24):
        assert meter.admit(cost(0), 0) is None
    refused = meter.admit(cost(0), 0)
    assert refused is not None
    assert (refused.kind, refused.wait_ns) == (Kind.REQUESTS_A_DAY, DAY_NS // 24)


@given(
    algorithm=st.sampled_from(Algorithm),
    lag_ms=st.integers(1, 5_000),
    calls=st.lists(st.tuples(st.integers(0, 40 * SECOND_NS), st.integers(0, 300)), max_size=20),
    later_ns=st.integers(0, 10 * SECOND_NS),
)
def test_headers_that_lag_tell_what_headers_without_lag_told_then(
    algorithm: Algorithm, lag_ms: int, calls: list[tuple[int, int]], later_ns: int
) -> None:
    limits = Limits(requests=20, tokens=1_000, algorithm=algorithm)
    lagging = Meter(Limits(requests=20, tokens=1_000, algorithm=algorithm, lag_ms=lag_ms))
    now_ns, made = MINUTE_NS, []
    for gap_ns, tokens in calls:
        now_ns += gap_ns
        lagging.admit(cost(tokens), now_ns)
        made.append((now_ns, tokens))
        lagging.views(now_ns)  # looking changes nothing
    asked_ns = now_ns + later_ns
    then_ns = asked_ns - lag_ms * 10**6
    prompt = Meter(limits)
    for at_ns, tokens in made:
        if at_ns <= then_ns:
            prompt.admit(cost(tokens), at_ns)
    assert lagging.views(asked_ns) == prompt.views(then_ns)
