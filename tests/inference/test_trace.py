"""traceparent as W3C has it, and everything that is none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from macroslow.inference.trace import TraceParent, read_traceparent

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
GOOD = f"00-{TRACE}-{SPAN}-01".encode()


@pytest.mark.parametrize(
    ("raw", "sampled"),
    [
        (GOOD, True),  # the example of W3C Trace Context, section 3.2.2
        (f"00-{TRACE}-{SPAN}-00".encode(), False),
        (f"00-{TRACE}-{SPAN}-03".encode(), True),
        (f"00-{TRACE}-{SPAN}-fe".encode(), False),
        (f"cc-{TRACE}-{SPAN}-01".encode(), True),  # a version to come, as the test suite of W3C has it
        (f"cc-{TRACE}-{SPAN}-01-what-the-future-will-be-like".encode(), True),
    ],
)
def test_what_w3c_calls_valid_is_read(raw: bytes, sampled: bool) -> None:
    assert read_traceparent(raw) == TraceParent(TRACE, SPAN, sampled)


@pytest.mark.parametrize(
    "raw",
    [
        None,
        b"",
        b"00",
        f"00-{TRACE}-{SPAN}-01-what-the-future-will-not-be-like".encode(),
        f"cc-{TRACE}-{SPAN}-01.what-the-future-will-not-be-like".encode(),
        f"ff-{TRACE}-{SPAN}-01".encode(),
        f"00-{'0' * 32}-{SPAN}-01".encode(),
        f"00-{TRACE}-{'0' * 16}-01".encode(),
        GOOD.upper(),
        GOOD + b" ",
        GOOD + b"\n",
        b" " + GOOD,
        GOOD[:-1],
        GOOD + b"-" + b"x" * 1000,
        GOOD.replace(b"-", b"_"),
        f"00-{TRACE[:-1]}.-{SPAN}-01".encode(),
        "00-٠٠f7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".encode(),
        b"a" * 1_000_000,
    ],
    ids=lambda raw: str(raw)[:70],
)
def test_whatever_else_a_client_sends_is_ignored(raw: bytes | None) -> None:
    assert read_traceparent(raw) is None


@given(st.binary(max_size=80))
def test_no_bytes_do_harm(raw: bytes) -> None:
    found = read_traceparent(raw)
    assert found is None or raw.startswith(found.header[2:53].encode(), 2)


@given(st.integers(1, 2**128 - 1), st.integers(1, 2**64 - 1), st.booleans())
def test_what_is_sent_on_is_read_as_it_was(trace: int, span: int, sampled: bool) -> None:
    told = TraceParent(f"{trace:032x}", f"{span:016x}", sampled)
    assert read_traceparent(told.header.encode()) == told
