"""Limits as the headers of both providers tell them."""

import pytest

from macroslow.emulator.limits import Cost, Limits, Meter, anthropic_headers, duration, openai_headers
from macroslow.emulator.limits.headers import moment, waiting

NOW_NS = 1_760_000_000 * 10**9


def headers(limits: Limits, kind: str) -> dict[str, str]:
    meter = Meter(limits)
    assert meter.admit(Cost(30, 10), NOW_NS) is None
    made = (openai_headers if kind == "openai" else anthropic_headers)(meter.views(NOW_NS))
    return {name.decode(): value.decode() for name, value in made}


def test_openais_tell_requests_and_tokens() -> None:
    assert headers(Limits(requests=60, tokens=400), "openai") == {
        "x-ratelimit-limit-requests": "60",
        "x-ratelimit-remaining-requests": "59",
        "x-ratelimit-reset-requests": "1s",
        "x-ratelimit-limit-tokens": "400",
        "x-ratelimit-remaining-tokens": "360",
        "x-ratelimit-reset-tokens": "6s",
    }


def test_requests_of_a_day_are_told_where_those_of_a_minute_have_no_limit() -> None:
    told = headers(Limits(requests_a_day=10_000), "openai")
    assert told["x-ratelimit-limit-requests"] == "10000"
    assert told["x-ratelimit-reset-requests"] == "8.64s"


def test_anthropics_tell_moments_and_input_and_output_apart() -> None:
    told = headers(Limits(requests=60, input_tokens=3_000, output_tokens=600), "anthropic")
    assert told == {
        "anthropic-ratelimit-requests-limit": "60",
        "anthropic-ratelimit-requests-remaining": "59",
        "anthropic-ratelimit-requests-reset": "2025-10-09T08:53:21Z",
        "anthropic-ratelimit-tokens-limit": "3600",
        "anthropic-ratelimit-tokens-remaining": "3560",
        "anthropic-ratelimit-tokens-reset": "2025-10-09T08:53:21Z",
        "anthropic-ratelimit-input-tokens-limit": "3000",
        "anthropic-ratelimit-input-tokens-remaining": "2970",
        "anthropic-ratelimit-input-tokens-reset": "2025-10-09T08:53:21Z",
        "anthropic-ratelimit-output-tokens-limit": "600",
        "anthropic-ratelimit-output-tokens-remaining": "590",
        "anthropic-ratelimit-output-tokens-reset": "2025-10-09T08:53:21Z",
    }


def test_what_has_no_limit_has_no_header() -> None:
    assert headers(Limits(), "openai") == headers(Limits(), "anthropic") == {}


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


def test_a_moment_and_a_wait_are_rounded_up() -> None:
    assert moment(NOW_NS) == "2025-10-09T08:53:20Z"
    assert moment(NOW_NS + 1) == "2025-10-09T08:53:21Z"
    assert waiting(1) == ((b"retry-after-ms", b"1"), (b"retry-after", b"1"))
    assert waiting(1_500_000_001) == ((b"retry-after-ms", b"1501"), (b"retry-after", b"2"))
