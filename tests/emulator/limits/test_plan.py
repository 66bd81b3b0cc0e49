"""The flag `--limits`: every name, one key apart from the others, and what cannot be read."""

import pytest

from macroslow.emulator.keys import digest_of
from macroslow.emulator.limits import Algorithm, Charge, Limits, parse_limits
from macroslow.errors import ConfigurationError


def test_the_flag_is_read() -> None:
    assert parse_limits("rpm=500,tpm=200000") == Limits(500, 200_000)
    assert parse_limits(" tpm = 7 , charge=max_tokens") == Limits(None, 7, Charge.MAX_TOKENS)
    assert parse_limits("none") == Limits()
    assert parse_limits("itpm=5,otpm=6,rpd=7,algorithm=sliding,skew_ms=-250,lag_ms=30") == Limits(
        input_tokens=5,
        output_tokens=6,
        requests_a_day=7,
        algorithm=Algorithm.SLIDING,
        skew_ms=-250,
        lag_ms=30,
    )


def test_a_key_has_numbers_of_its_own_and_the_rest_as_for_all() -> None:
    limits = parse_limits("rpm=500,tpm=9,algorithm=fixed;sk-emulator-b:rpm=60; 0123abcd:tpm=1")
    assert limits.of(digest_of("sk-emulator-a")).requests == 500
    theirs = limits.of(digest_of("sk-emulator-b"))
    assert (theirs.requests, theirs.tokens, theirs.algorithm) == (60, 9, Algorithm.FIXED)
    assert limits.of("0123abcd" + 56 * "0").tokens == 1
    assert parse_limits("none;sk-emulator-b:rpm=1").of(digest_of("sk-emulator-b")).requests == 1


@pytest.mark.parametrize(
    "text",
    [
        "rpm",
        "rpm=",
        "rpm=0",
        "rpm=-1",
        "rpm=1.5",
        "rpm=1,rpm=2",
        "rps=5",
        "charge=x",
        "algorithm=",
        "algorithm=BUCKET",
        "rpm=²",
        "skew_ms=--1",
        "skew_ms=86400001",
        "lag_ms=-1",
        ",",
        "rpm=1,",
        "rpm=1;",
        "rpm=1;rpm=2",
        "rpm=1;0123abc:rpm=2",
        "rpm=1;sk-live-secret:rpm=2",
        "rpm=1;sk-emulator-b:algorithm=fixed",
    ],
)
def test_a_flag_that_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError):
        parse_limits(text)
