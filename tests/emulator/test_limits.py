"""The buckets: the service's own published refusals, a slow reference, and the edge to the nanosecond."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from macroslow.emulator.limits import (
    MINUTE_NS,
    Bucket,
    Charge,
    Exceeded,
    Limits,
    Meter,
    duration,
    parse_limits,
)
from macroslow.errors import ConfigurationError

# Limit, Used, Requested and "Please try again in" of refusals that users of the service published
# (GitHub: BuilderIO/micro-agent 86, openai/codex 88, semanser/codel 72, FoundationAgents/MetaGPT 523).
PUBLISHED = [
    (30_000, 29_937, 385, "644ms"),
    (200_000, 162_960, 42_288, "1.574s"),
    (30_000, 14_567, 24_754, "18.642s"),
    (10_000, 8_554, 3_082, "9.816s"),
]


@pytest.mark.parametrize(("limit", "used", "requested", "wait"), PUBLISHED)
def test_a_refusal_names_the_same_wait_as_the_service_did(
    limit: int, used: int, requested: int, wait: str
) -> None:
    meter = Meter(Limits(tokens=limit))
    assert meter.admit(used, now_ns=1) is None
    refused = meter.admit(requested, now_ns=1)
    assert isinstance(refused, Exceeded)
    assert (refused.kind, refused.count, refused.used) == ("tokens", limit, used)
    assert refused.wait_ns is not None
    # Up to the millisecond: the service cuts its last digit where we round up, so as never to say too little.
    assert duration(refused.wait_ns // 10**6 * 10**6) == wait


@given(
    count=st.integers(1, 10**6),
    steps=st.lists(st.tuples(st.integers(0, 90 * 10**9), st.integers(1, 1000)), max_size=30),
)
def test_what_a_bucket_lets_through_is_what_the_definition_allows(
    count: int, steps: list[tuple[int, int]]
) -> None:
    """Reference: rational arithmetic on a level that rises evenly and is capped."""
    level, meter, now_ns = Fraction(count), Meter(Limits(tokens=count)), 0
    for gap_ns, tokens in steps:
        now_ns += gap_ns
        level = min(Fraction(count), level + Fraction(gap_ns * count, MINUTE_NS))
        refused = meter.admit(tokens, now_ns)
        assert (refused is None) == (tokens <= level)
        if refused is None:
            level -= tokens
        headers = dict(meter.headers())
        assert int(headers[b"x-ratelimit-remaining-tokens"]) == int(level)


@given(
    requests=st.integers(1, 10_000),
    tokens=st.integers(1, 10**6),
    calls=st.lists(st.integers(0, 1000), max_size=40),
    last=st.integers(0, 1000),
)
def test_after_exactly_the_wait_the_call_passes_and_a_nanosecond_sooner_it_does_not(
    requests: int, tokens: int, calls: list[int], last: int
) -> None:
    def meter_after_calls() -> Meter:
        meter = Meter(Limits(requests, tokens))
        for cost in calls:
            meter.admit(cost, now_ns=0)
        return meter

    refused = meter_after_calls().admit(last, now_ns=0)
    if refused is None:
        return
    if refused.wait_ns is None:
        assert last > tokens
        assert meter_after_calls().admit(last, now_ns=10**6 * MINUTE_NS) is not None
    else:
        assert meter_after_calls().admit(last, now_ns=refused.wait_ns) is None
        assert meter_after_calls().admit(last, now_ns=refused.wait_ns - 1) is not None


def test_a_refusal_takes_from_neither_bucket() -> None:
    meter = Meter(Limits(requests=2, tokens=10))
    assert meter.admit(8, 0) is None
    before = meter.headers()
    assert meter.admit(5, 0) is not None
    assert meter.headers() == before
    assert meter.admit(2, 0) is None


def test_of_two_limits_the_one_that_takes_longer_is_named() -> None:
    meter = Meter(Limits(requests=1, tokens=60))
    assert meter.admit(60, 0) is None
    refused = meter.admit(1, 0)
    assert refused is not None
    assert (refused.kind, refused.wait_ns) == ("requests", MINUTE_NS)


def test_a_clock_that_runs_backwards_brings_nothing_back() -> None:
    bucket = Bucket(60).at(100 * 10**9).take(60)
    assert bucket.at(50 * 10**9).remaining == 0
    assert bucket.at(50 * 10**9).at(100 * 10**9).remaining == 0
    assert bucket.at(50 * 10**9).at(101 * 10**9).remaining == 1


def test_a_unit_that_comes_between_two_nanoseconds_counts_from_the_later() -> None:
    """A seventh of a minute is 8,571,428,571.43 ns."""
    for now_ns, left in ((8_571_428_571, 0), (8_571_428_572, 1)):
        meter = Meter(Limits(requests=7))
        for _ in range(7):
            assert meter.admit(0, 0) is None
        assert (meter.admit(0, now_ns) is None) == bool(left)


@pytest.mark.parametrize(
    ("time_ns", "text"),
    [
        (0, "0s"),
        (1, "1ms"),
        (12 * 10**6, "12ms"),
        (999_000_001, "1s"),
        (8_640 * 10**6, "8.64s"),
        (20 * 10**9, "20s"),
        (360 * 10**9, "6m0s"),
        (86_400 * 10**6, "1m26.4s"),
        (3_630 * 10**9, "1h0m30s"),
    ],
)
def test_a_duration_is_written_as_the_service_writes_it(time_ns: int, text: str) -> None:
    assert duration(time_ns) == text


def test_the_flag_is_read() -> None:
    assert parse_limits("rpm=500,tpm=200000") == Limits(500, 200_000)
    assert parse_limits(" tpm = 7 , charge=max_tokens") == Limits(None, 7, Charge.MAX_TOKENS)
    assert parse_limits("none") == Limits()


@pytest.mark.parametrize(
    "text",
    ["rpm", "rpm=", "rpm=0", "rpm=-1", "rpm=1.5", "rpm=1,rpm=2", "rpd=5", "charge=x", "rpm=²", ",", "rpm=1,"],
)
def test_a_flag_that_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError):
        parse_limits(text)
