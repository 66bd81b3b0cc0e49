"""One reading, one writing: against RFC 8785 as another package writes it."""

import json
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from macroslow.crypto import strict_json

LIMITS = {"limit_bytes": 1000, "max_depth": 4}
ASCII = st.text(st.characters(max_codepoint=127), max_size=6)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(ASCII, inner, max_size=4),
    max_leaves=20,
)


@given(values)
def test_canonical_is_rfc_8785_and_reads_back(value: Any) -> None:
    encoded = strict_json.canonical(value, limit_bytes=10**6, max_depth=50)
    assert encoded == rfc8785.dumps(value)
    assert encoded == json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    assert strict_json.parse(encoded, limit_bytes=10**6, max_depth=50) == value


@pytest.mark.parametrize(
    "value",
    [
        1.0,
        {"a": float("nan")},
        {"é": 1},
        {1: 2},
        {"a": {2: 3}},
        2**53,
        -(2**53),
        [[[[[]]]]],
        b"",
        {1, 2},
        object(),
        "\ud800",
    ],
)
def test_what_is_outside_the_profile_is_not_written(value: object) -> None:
    with pytest.raises(ValueError):
        strict_json.canonical(value, **LIMITS)


def test_limits_hold_to_the_byte_and_to_the_level() -> None:
    assert len(strict_json.canonical("x" * 998, **LIMITS)) == 1000
    with pytest.raises(ValueError, match="more than 1000"):
        strict_json.canonical("x" * 999, **LIMITS)
    assert strict_json.canonical([[[[]]]], **LIMITS) == b"[[[[]]]]"
    assert strict_json.parse(b"[[[[]]]]", **LIMITS) == [[[[]]]]
    with pytest.raises(ValueError, match="deep"):
        strict_json.parse(b"[[[[[]]]]]", **LIMITS)
    with pytest.raises(ValueError, match="more than 1000"):
        strict_json.parse(b" " * 1001, **LIMITS)


AMBIGUOUS = [
    b"",
    b"{",
    b'{"a":1,"a":1}',
    b'[{"b":{"a":1,"a":2}}]',
    b"NaN",
    b"-Infinity",
    b"1.0",
    b"1e3",
    b"\xff",
    b"\xef\xbb\xbf1",
    b'"\\ud800"',
    b'{"\\udfff":1}',
    b"[" * 900,
    b'{"a":' * 150,
    b"'a'",
    b"1 2",
]


@pytest.mark.parametrize("raw", AMBIGUOUS)
def test_what_readers_understand_differently_is_not_read(raw: bytes) -> None:
    with pytest.raises(ValueError):
        strict_json.parse(raw, **LIMITS)


def _is_canonical(raw: bytes) -> bool:
    try:
        return strict_json.canonical(strict_json.candidate(raw, limit_bytes=1000), **LIMITS) == raw
    except ValueError:
        return False


@pytest.mark.parametrize(
    "raw", [*AMBIGUOUS, b'{"a":18446744073709551616}', b"-0", b'{"b":1,"a":2}', b'"\\u0041"']
)
def test_no_candidate_of_what_has_two_readings_is_written_as_it_was_read(raw: bytes) -> None:
    assert not _is_canonical(raw)


@given(values, st.integers(0, 200), st.binary(max_size=2))
def test_a_candidate_written_as_it_was_read_is_what_parse_reads(value: Any, at: int, inserted: bytes) -> None:
    encoded = rfc8785.dumps(value)
    raw = encoded[:at] + inserted + encoded[at:]
    if len(raw) <= 1000 and _is_canonical(raw):
        read = strict_json.parse(raw, limit_bytes=1000, max_depth=4)
        assert read == strict_json.candidate(raw, limit_bytes=1000)


def test_deep_nesting_within_the_size_limit_is_a_refusal_and_no_crash() -> None:
    for raw in (b"[" * 500_000, b'{"a":' * 200_000, b"[" * 100_000 + b"]" * 100_000):
        with pytest.raises(ValueError):
            strict_json.parse(raw, limit_bytes=10**7, max_depth=8)


def test_floats_are_read_where_they_are_asked_for() -> None:
    assert strict_json.parse(b"[1.5]", **LIMITS, floats=True) == [1.5]
    with pytest.raises(ValueError, match="NaN"):
        strict_json.parse(b"[NaN]", **LIMITS, floats=True)
