"""Headers about limits: documented forms, and whatever else a server may send."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from macroslow.limits.reported import (
    MAX_COUNT,
    MAX_TIME_NS,
    Figures,
    Reported,
    duration_ns,
    read,
    retry_after_ns,
)

S = 10**9
NOW_NS = 1_767_225_600 * S  # 2026-01-01T00:00:00Z
DATE = "Thu, 01 Jan 2026 00:00:00 GMT"
OPENAI = {  # the example of OpenAI's page
    "x-ratelimit-limit-requests": "60",
    "x-ratelimit-limit-tokens": "150000",
    "x-ratelimit-remaining-requests": "59",
    "x-ratelimit-remaining-tokens": "149984",
    "x-ratelimit-reset-requests": "1s",
    "x-ratelimit-reset-tokens": "6m0s",
}


def test_openais_own_example_is_read():
    assert read(OPENAI, NOW_NS) == Reported(Figures(60, 59, S), Figures(150_000, 149_984, 360 * S))
    assert read(OPENAI, NOW_NS).tokens.used == 16


@pytest.mark.parametrize(
    ("figures", "daily"),
    [
        (Figures(10_000, 9_999, 8_640_000_000), True),
        (Figures(10_000, 9_000, 8_640_000_000_000), True),
        (Figures(10_000, 9_999, 6_000_000), False),
        (Figures(10_000, 10_000, 0), False),
        (Figures(500, 400, 12 * S), False),
        (Figures(500, 400, None), False),
        (Figures(10**9, 10**9 - 1, 86_400), False),
    ],
)
def test_requests_of_a_day_are_told_from_those_of_a_minute(figures, daily):
    assert figures.daily == daily


def test_anthropics_are_read_against_its_own_clock():
    headers = {
        "date": DATE,
        "anthropic-ratelimit-requests-limit": "50",
        "anthropic-ratelimit-requests-remaining": "49",
        "anthropic-ratelimit-requests-reset": "2026-01-01T00:00:02Z",
        "anthropic-ratelimit-tokens-limit": "50000",
        "anthropic-ratelimit-tokens-remaining": "48000",
        "anthropic-ratelimit-tokens-reset": "2026-01-01T01:00:30+01:00",
    }
    said = read(headers, NOW_NS + 3600 * S)  # our clock is an hour ahead
    assert said.requests == Figures(50, 49, 2 * S, coarse_ns=2 * S)
    assert said.tokens == Figures(50_000, 48_000, 30 * S, coarse_units=1000, coarse_ns=2 * S)
    del headers["date"]
    assert read(headers, NOW_NS + S).requests.reset_ns == S


def test_input_tokens_stand_in_where_there_is_no_total():
    headers = {
        "anthropic-ratelimit-input-tokens-limit": "40000",
        "anthropic-ratelimit-input-tokens-remaining": "40000",
    }
    assert read(headers, NOW_NS).tokens == Figures(40_000, 40_000, None, coarse_units=1000, coarse_ns=2 * S)


@pytest.mark.parametrize(
    ("text", "expected_ns"),
    [
        ("12ms", 12 * 10**6),
        ("1s", S),
        ("6m0s", 360 * S),
        ("8.64s", 8_640_000_000),
        ("1h0m30s", 3630 * S),
        ("1d2h", 26 * 3600 * S),
        ("0s", 0),
        ("1.5", 1_500_000_000),
        ("7", 7 * S),
        ("59.951s", 59_951_000_000),
    ],
)
def test_durations(text, expected_ns):
    assert duration_ns(text) == expected_ns


@pytest.mark.parametrize(
    "text",
    [
        "",
        "s",
        "-1s",
        "1 s",
        "1s1m",
        "nan",
        "inf",
        "1e9s",
        "٣s",
        "1ss",
        "99999999d",
        "8d",
        "9" * 65,
        "1s\n",
        "0x1s",
    ],
)
def test_what_is_no_duration_is_not_said(text):
    assert duration_ns(text) is None


@pytest.mark.parametrize(
    ("limit", "remaining"),
    [
        ("0", "0"), ("-1", "0"), ("10", "11"), ("10", "-1"), ("10", ""), ("", "10"), ("1e3", "1"),
        ("10.0", "1"),
        (str(MAX_COUNT + 1), "1"), ("9" * 4000, "1"), ("٣", "1"), ("10", "٣"), (" 10", "1"), ("10\x00", "1"),
    ],
)  # fmt: skip
def test_counts_that_make_no_sense_are_not_said(limit, remaining):
    headers = {**OPENAI, "x-ratelimit-limit-tokens": limit, "x-ratelimit-remaining-tokens": remaining}
    assert read(headers, NOW_NS).tokens is None
    assert read(headers, NOW_NS).requests is not None


@pytest.mark.parametrize(
    ("headers", "expected_ns"),
    [
        ({"retry-after-ms": "250", "retry-after": "9"}, 250 * 10**6),
        ({"retry-after": "9"}, 9 * S),
        ({"retry-after": "0.5"}, S // 2),
        ({"retry-after": "Thu, 01 Jan 2026 00:00:07 GMT", "date": DATE}, 7 * S),
        ({"retry-after": "Wed, 31 Dec 2025 00:00:00 GMT", "date": DATE}, 0),
        ({**OPENAI, "x-ratelimit-remaining-tokens": "0"}, 360 * S),
        ({**OPENAI}, None),
        ({}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "9" * 12}, MAX_TIME_NS),
    ],
)
def test_when_to_come_back(headers, expected_ns):
    assert retry_after_ns(headers, NOW_NS) == expected_ns


values = st.one_of(
    st.text(max_size=70),
    st.integers().map(str),
    st.sampled_from(["60", "0", "1s", "6m0s", DATE, "2026-01-01T00:00:02Z", "0001-01-01T00:00:00+23:59"]),
)
names = st.sampled_from(
    [*OPENAI, "retry-after", "retry-after-ms", "date"]
    + [
        f"anthropic-ratelimit-{a}-{b}"
        for a in ("tokens", "requests")
        for b in ("limit", "remaining", "reset")
    ]
)


@given(st.dictionaries(names, values, max_size=8))
def test_whatever_comes_is_read_within_bounds(headers):
    said = read(headers, NOW_NS)
    for each in (said.requests, said.tokens):
        if each is not None:
            assert 1 <= each.limit <= MAX_COUNT
            assert 0 <= each.used <= each.limit
            assert each.reset_ns is None or 0 <= each.reset_ns <= MAX_TIME_NS
    wait_ns = retry_after_ns(headers, NOW_NS)
    assert wait_ns is None or 0 <= wait_ns <= MAX_TIME_NS
