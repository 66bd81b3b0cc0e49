"""The page reads what we read, refuses what we refuse, and writes RFC 8785 as we do."""

import json
import math

import pytest
import rfc8785
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tests.verifier.page import Page, PageRefusedError

from macroslow.crypto import strict_json

LIMIT_BYTES, DEPTH = 10_000, 4
REWRITTEN = "(raw, depth) => utf8(canonical(parseJson(raw, 10000, depth), { floats: true, maxDepth: depth }))"
AS_EVENT = "(raw, depth) => utf8(canonical(parseJson(raw, 10000, depth), { maxDepth: depth }))"


def ours(raw: bytes) -> bytes | None:
    """The RFC 8785 form by our reader and the library's writer; None if one of them refuses."""
    try:
        return rfc8785.dumps(
            strict_json.parse(raw, limit_bytes=LIMIT_BYTES, max_depth=DEPTH, floats=True)  # type: ignore[arg-type]
        )
    except ValueError:
        return None


def theirs(page: Page, raw: bytes, function: str = REWRITTEN) -> bytes | None:
    try:
        return bytes(page.call(function, raw, DEPTH))
    except PageRefusedError:
        return None


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b" ",
        b"{}",
        b"[]",
        b" [ ] ",
        b'\t\r\n{ "a" :\n1 , "b": [ true , false, null ] } ',
        b"[[[[]]]]",
        b"[[[[[]]]]]",
        b'{"a":{"b":{"c":{}}}}',
        b'{"a":{"b":{"c":{"d":{}}}}}',
        b'{"a":1,"a":1}',
        b'{"a":1,"\\u0061":1}',
        b'{"__proto__":1}',
        b'{"__proto__":1,"__proto__":2}',
        b'{"constructor":{"prototype":1},"toString":2}',
        b"[1,]",
        b'{"a":1,}',
        b"[,1]",
        b"{a:1}",
        b"{'a':1}",
        b"[1 2]",
        b"[1]x",
        b"[1]\0",
        b"01",
        b"-",
        b"-01",
        b"+1",
        b".5",
        b"1.",
        b"1.e5",
        b"1e",
        b"1e+",
        b"0x10",
        b"1_000",
        b"-0",
        b"-0.0",
        b"0e0",
        b"1.0",
        b"1e2",
        b"1E400",
        b"-1e999",
        b"1e-999",
        b"NaN",
        b"Infinity",
        b"-Infinity",
        b"nul",
        b"nulll",
        b"True",
        b"9007199254740991",
        b"-9007199254740991",
        b"9007199254740992",
        b"-9007199254740992",
        b"9007199254740993",
        b"9007199254740993.0",
        b"1" * 4300,
        b"1" * 4301,
        b'"\\u00e9\\u20ac\\ud83d\\ude00"',
        b'"\\ud83d"',
        b'"\\ude00\\ud83d"',
        b'{"\\ud83d":1}',
        b'"\\u12"',
        b'"\\u+123"',
        b'"\\x41"',
        b'"\\"\\\\\\/\\b\\f\\n\\r\\t"',
        b'"a\nb"',
        b'"a\tb"',
        b'"\x7f"',
        b'"unclosed',
        b'"\\',
        b'"\xff"',
        b'"\xed\xa0\x80"',
        b'"\xc0\xaf"',
        b"\xef\xbb\xbf[]",
        b"\xff\xfe[\0]\0",
        b"\xc2\xa0[]",
        b"\xe2\x80\xa8[]",
        b"// comment\n[]",
        b"[" * 5000,
        b" " * (LIMIT_BYTES - 2) + b"[]",
        b" " * (LIMIT_BYTES - 1) + b"[]",
        '{"\u20ac":1,"\r":2,"\ufb33":3,"1":4,"\U0001f600":5,"\x80":6,"\u00f6":7}'.encode(),
    ],
    ids=lambda raw: repr(raw[:24]),
)
def test_one_reading_and_one_writing(raw: bytes, page: Page) -> None:
    assert theirs(page, raw) == ours(raw)


def test_the_numbers_of_rfc_8785(page: Page) -> None:
    """Appendix B: the double with these bits is written so."""
    for number, written in {
        "5e-324": "5e-324",
        "-5e-324": "-5e-324",
        "1.7976931348623157e308": "1.7976931348623157e+308",
        "9007199254740992.0": "9007199254740992",
        "295147905179352830000.0": "295147905179352830000",
        "9.999999999999997e22": "9.999999999999997e+22",
        "1e23": "1e+23",
        "1.0000000000000001e23": "1.0000000000000001e+23",
        "999999999999999700000.0": "999999999999999700000",
        "999999999999999900000.0": "999999999999999900000",
        "1e21": "1e+21",
        "9.999999999999997e-7": "9.999999999999997e-7",
        "0.000001": "0.000001",
        "333333333.3333332": "333333333.3333332",
        "-0.0000033333333333333333": "-0.0000033333333333333333",
        "1424953923781206.2": "1424953923781206.2",
    }.items():
        assert theirs(page, number.encode()) == written.encode()


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**54), 2**54)
    | st.text(max_size=20)
    | st.floats(allow_nan=False, allow_infinity=False)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=15,
)


@settings(max_examples=150)
@given(value=VALUES, indent=st.none() | st.integers(0, 2), plain=st.booleans())
def test_any_value_is_written_as_we_write_it(
    page: Page, value: object, indent: int | None, plain: bool
) -> None:
    raw = json.dumps(value, indent=indent, ensure_ascii=plain).encode("utf-8", "surrogatepass")
    assert theirs(page, raw) == ours(raw)


@settings(max_examples=150)
@given(value=VALUES)
def test_of_events_it_takes_what_the_log_takes(page: Page, value: object) -> None:
    raw = json.dumps(value).encode()
    try:
        parsed = strict_json.parse(raw, limit_bytes=LIMIT_BYTES, max_depth=DEPTH)
        expected = strict_json.canonical(parsed, limit_bytes=LIMIT_BYTES, max_depth=DEPTH)
    except ValueError:
        expected = None
    assert theirs(page, raw, AS_EVENT) == expected


@settings(max_examples=200)
@given(value=VALUES, data=st.data())
def test_damaged_text_is_read_as_we_read_it_or_not_at_all(
    page: Page, value: object, data: st.DataObject
) -> None:
    raw = bytearray(json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass"))
    assume(raw)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(raw)))
        raw[at : at + data.draw(st.integers(0, 2))] = data.draw(
            st.binary(max_size=2)
            | st.sampled_from([b"{", b"}", b"[", b'"', b",", b":", b"\\u", b"0", b"e1", b"-", b" "])
        )
    assert theirs(page, bytes(raw)) == ours(bytes(raw))


@settings(max_examples=200)
@given(number=st.floats(allow_nan=False, allow_infinity=False, allow_subnormal=True))
def test_any_float_is_written_by_its_shortest_digits(page: Page, number: float) -> None:
    assume(math.isfinite(number))
    written = theirs(page, repr(number).encode())
    assert written == rfc8785.dumps(number)
