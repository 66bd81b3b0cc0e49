"""Streams of every API: however they are cut and whatever is in them, nothing is lost or changed."""

from itertools import pairwise

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.inference.streams import (
    CHAT,
    DONE,
    IDS,
    POSSIBLE,
    STREAMS,
    USED,
    WRITTEN,
    Stream,
    chunk,
    named,
    said,
)
from tests.metering.vocabulary import counter

from macroslow.inference.operation import AnswerUnreadableError
from macroslow.inference.sse import MAX_EVENT_BYTES, EventTooLongError
from macroslow.metering.encodings import Counter

every_stream = pytest.mark.parametrize("stream", STREAMS, ids=IDS)


def fed(stream: Stream, raw: bytes, places: list[int]):
    """A reader that was given `raw` in pieces, and what it passed on."""
    reading = stream.reader()
    marks = [0, *sorted(place % (len(raw) + 1) for place in places), len(raw)]
    return reading, b"".join(reading.feed(raw[start:end]) for start, end in pairwise(marks))


def read_whole(reading, pieces) -> int:
    for piece in pieces:
        reading.feed(piece)
    return reading.output_tokens()


def ends(raw: bytes, line_end: bytes) -> bytes:
    return raw.replace(b"\r\n", b"\n").replace(b"\n", line_end)


@every_stream
@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"], ids=["lf", "crlf", "cr"])
@settings(max_examples=25, deadline=None)
@given(places=st.lists(st.integers(0, 10_000), max_size=30))
def test_a_stream_is_the_same_however_it_is_cut(stream, line_end, places):
    reading, passed = fed(stream, ends(stream.raw, line_end), places)
    if line_end == b"\r":  # the last of them may be half of a CRLF, and so the last event not whole
        passed += reading.feed(b"\n")
    assert passed == ends(b"".join(stream.shown), line_end)
    assert reading.closing.rstrip() == ends(stream.closing, line_end).rstrip()
    assert (reading.usage, reading.id, reading.complete) == (USED, stream.id, True)
    assert reading.output_tokens() == counter().text(WRITTEN)


@every_stream
def test_a_stream_that_comes_byte_by_byte_is_the_same(stream):
    reading, passed = fed(stream, stream.raw, list(range(len(stream.raw))))
    assert passed == b"".join(stream.shown)
    assert (reading.closing, reading.usage) == (stream.closing, USED)


@every_stream
def test_a_stream_that_is_aborted_after_any_event_is_not_complete_and_counts_what_came(stream):
    for seen in range(len(stream.shown)):
        reading = stream.reader()
        raw = b"".join(stream.shown[:seen])
        assert reading.feed(raw + stream.shown[seen][:-1]) == raw
        assert not reading.complete
        assert reading.closing == b""
        came = [word for word in ("hello", " wörld") if word.encode() in raw]
        assert reading.output_tokens() == counter().text("".join(came))
        assert reading.output_tokens() == counter().text("".join(came))  # asking changes nothing


@every_stream
def test_a_stream_that_breaks_off_right_after_its_usage_came_to_its_end(stream):
    reading = stream.reader()
    reading.feed(b"".join(stream.shown) + stream.hidden)
    assert reading.complete == (reading.usage is not None)
    reading.feed(b"data: half")
    assert not reading.complete


@every_stream
def test_nothing_after_the_closing_event_is_read_or_passed_on(stream):
    reading = stream.reader()
    smuggled = said("smuggled") + named({"type": "error", "error": {}}) + stream.raw
    assert reading.feed(stream.raw + smuggled) == b"".join(stream.shown)
    assert reading.feed(smuggled) == b""
    assert (reading.closing, reading.usage) == (stream.closing, USED)


@every_stream
def test_a_failure_within_a_stream_is_not_passed_on(stream):
    reading = stream.reader()
    reading.feed(stream.shown[0])
    failure = {"type": "error", "error": {"type": "overloaded_error", "message": "sk-canary"}}
    with pytest.raises(AnswerUnreadableError) as caught:
        reading.feed(named(failure))
    assert "canary" not in str(caught.value)


@every_stream
def test_a_stream_may_begin_with_a_byte_order_mark(stream):
    raw = b"\xef\xbb\xbf" + stream.raw
    reading = stream.reader()
    assert reading.feed(raw) == b"\xef\xbb\xbf" + b"".join(stream.shown)
    assert (reading.usage, reading.output_tokens()) == (USED, counter().text(WRITTEN))


@every_stream
def test_an_event_may_have_its_data_in_several_lines(stream):
    """A line ends wherever JSON allows space."""
    broken = stream.raw.replace(b'":', b'"\ndata: :').replace(b",", b"\ndata:,\ndata:")
    reading = stream.reader()
    passed = reading.feed(broken)
    assert (reading.usage, reading.complete) == (USED, True)
    assert broken.startswith(passed)
    assert reading.output_tokens() == counter().text(WRITTEN)


@every_stream
def test_fields_that_mean_nothing_here_pass(stream):
    other = (
        b"id: 7\nretry: 10\n: comment\n\n" + b"event: usage\n\n" + b'unknown "usage" "error" "response"\n\n'
    )
    reading = stream.reader()
    assert reading.feed(other) == other
    assert reading.output_tokens() == 0


@every_stream
def test_text_that_looks_like_the_protocol_is_text(stream):
    """Quotes in text are escaped, so no text can be taken for a member."""
    tricks = (
        '"usage":{"input_tokens":0} "error" [DONE] {"type":"message_stop"} "response" \n\ndata: [DONE]\n\n'
    )
    for word in (b"hello", " wörld".encode()):
        raw = stream.raw.replace(word, orjson.dumps(tricks)[1:-1])
        reading = stream.reader()
        passed = reading.feed(raw)
        assert passed + stream.hidden + reading.closing == raw
        assert (reading.closing, reading.usage) == (stream.closing, USED)


@every_stream
@pytest.mark.parametrize("garbage", [b"data: {not json", b"data: []", b'data: "error"', b"data: \xff\xfe"])
def test_garbage_makes_the_count_impossible_and_never_an_end(stream, garbage):
    reading = stream.reader()
    with pytest.raises(AnswerUnreadableError):  # at once, or when it is counted
        read_whole(reading, [garbage + b"\n\n"])
    assert not reading.complete


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats(allow_nan=False)
    | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
members = st.sampled_from(
    ["type", "usage", "response", "message", "delta", "error", "choices", "content_block", "id", "content"]
)
kinds = st.sampled_from(
    ["response.completed", "response.failed", "response.created", "message_start", "message_delta", "x.delta"]
)


@every_stream
@settings(max_examples=50, deadline=None)
@given(
    payload=st.dictionaries(members, json_values | kinds | st.dictionaries(members, json_values), max_size=5)
)
def test_events_of_any_shape_are_read_or_refused_in_one_way(stream, payload):
    reading = stream.reader()
    event = chunk(**payload)
    try:
        passed = reading.feed(event)
        tokens = reading.output_tokens()
    except AnswerUnreadableError:
        return
    assert passed + reading.closing in (event, b"")
    assert tokens >= 0
    assert isinstance(reading.id, str)
    assert reading.usage is None or reading.usage.input_tokens <= 1000


@every_stream
@settings(max_examples=25, deadline=None)
@given(raw=st.binary(max_size=300))
def test_bytes_of_any_kind_are_passed_in_order_or_refused(stream, raw):
    reading = stream.reader()
    try:
        passed = reading.feed(raw + b"\n\n")
    except AnswerUnreadableError:
        return
    assert (raw + b"\n\n").startswith(passed + reading.closing) or passed == b""


@every_stream
def test_a_long_stream_is_counted_as_it_goes_and_not_kept(stream):
    reading = stream.reader()
    piece = (
        stream.shown[-1]
        if stream is CHAT
        else next(e for e in stream.shown if b".delta" in e or b"text_delta" in e)
    )
    for _ in range(5000):
        reading.feed(piece)
    assert sum(map(len, reading._unread)) < 33 * 1024
    assert reading.output_tokens() >= 5000


@every_stream
def test_pieces_that_complete_no_event_leave_nothing_behind_but_their_bytes(stream):
    reading = stream.reader()
    for _ in range(1000):
        assert reading.feed(b"x") == b""
    assert reading._unread == []


class Encoder:
    """A token for a hundred characters; it notes how many it was asked to look at."""

    def __init__(self) -> None:
        self.characters = 0

    def encode_ordinary(self, text: str) -> list[int]:
        self.characters += len(text)
        return [0] * -(-len(text) // 100)


@pytest.mark.parametrize("letter", [" ", "x", "字"], ids=["space", "letter", "wide"])
def test_of_much_text_at_once_the_rest_is_bounded_by_its_bytes(letter):
    """Counting 4 MiB takes a second or more, for which every other call would wait."""
    encoder = Encoder()
    request = CHAT.operation.parse(orjson.dumps(CHAT.body))
    reading = CHAT.operation.reader(request, Counter(encoder), POSSIBLE)
    reading.feed(said(letter * 10))
    assert reading.output_tokens() == 1
    reading.feed(said(letter * 1_000_000))
    assert encoder.characters <= 64 * 1024 + 10
    assert reading.output_tokens() >= (1_000_000 - 64 * 1024) * len(letter.encode())
    assert reading.output_tokens() <= 1_000_000 * len(letter.encode())


@settings(max_examples=25, deadline=None)
@given(text=st.text(max_size=50), times=st.integers(1, 4000))
def test_no_text_at_once_counts_less_than_it_has(text, times):
    reading = CHAT.reader()
    reading.feed(said(text * times))
    assert reading.output_tokens() >= counter().text(text * times) - 1  # a cut may part what was one


def test_an_event_that_is_too_long_is_refused_however_it_is_cut():
    event = b"data: " + b"x" * MAX_EVENT_BYTES + b"\n\n"
    for pieces in (event,), (event[:100], event[100:]), (event[:-1], event[-1:]):
        reading = CHAT.reader()
        with pytest.raises(EventTooLongError):
            read_whole(reading, pieces)


def test_a_long_event_in_many_pieces_is_passed_whole():
    event = b"data: " + orjson.dumps({"choices": [{"delta": {"content": "x" * 1_000_000}}]}) + b"\n\n"
    reading = CHAT.reader()
    passed = b"".join(reading.feed(event[at : at + 1400]) for at in range(0, len(event), 1400))
    assert passed == event
    assert reading.feed(DONE) == b""
    assert reading.complete
