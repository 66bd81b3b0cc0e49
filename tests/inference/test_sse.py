"""Cutting event streams: however they come in pieces, the events and their bytes are the same."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from macroslow.inference.sse import MAX_EVENT_BYTES, EventSplitter, EventTooLongError, data_of, split

line_ends = st.sampled_from([b"\n", b"\r\n", b"\r"])
lines = st.sampled_from([b"data: a", b"data:b", b"data", b": comment", b"event: x", b"data: {}", b"id: 1"])
streams = st.lists(st.one_of(lines, line_ends), max_size=40).map(b"".join)


def cut(stream: bytes, places: list[int]) -> list[bytes]:
    marks = [0, *sorted(place % (len(stream) + 1) for place in places), len(stream)]
    return [stream[start:end] for start, end in pairwise(marks)]


@given(streams, st.lists(st.integers(0, 1000), max_size=20))
def test_no_byte_is_lost_changed_or_moved(stream, places):
    splitter = EventSplitter()
    events = [event for piece in cut(stream, places) for event in split(splitter.feed(piece))]
    assert b"".join(events) + splitter.rest == stream


@given(
    st.lists(st.sampled_from([b"data: a", b"data: bb", b": c"]), min_size=1, max_size=8),
    st.sampled_from([b"\n", b"\r\n"]),
    st.lists(st.integers(0, 1000), max_size=20),
)
def test_events_are_the_same_however_the_stream_is_cut(bodies, end, places):
    events = [body + end + end for body in bodies]
    splitter = EventSplitter()
    pieces = cut(b"".join(events), places)
    assert [event for piece in pieces for event in split(splitter.feed(piece))] == events


def test_lines_may_end_with_cr_alone():
    events = b"data: a\r\rdata: b\r\r"
    assert EventSplitter().feed(events) == events
    assert split(events) == [b"data: a\r\r", b"data: b\r\r"]


def test_one_crlf_is_one_line_end():
    splitter = EventSplitter()
    assert splitter.feed(b"data: a\r\ndata: b\r\n") == b""
    assert splitter.feed(b"\r\n") == b"data: a\r\ndata: b\r\n\r\n"


@pytest.mark.parametrize(
    ("event", "data"),
    [
        (b"data: x\n\n", b"x"),
        (b"data:x\r\n\r\n", b"x"),
        (b"data:  x\r\r", b" x"),
        (b"event: y\ndata: a\ndata: b\n\n", b"a\nb"),
        (b": ping\n\n", b""),
        (b"\n\n", b""),
        (b"database: x\n\n", b""),
    ],
)
def test_the_data_of_an_event(event, data):
    assert data_of(event) == data


def test_an_endless_event_is_refused_at_the_bound_and_not_before():
    splitter = EventSplitter()
    splitter.feed(b"data: " + b"x" * (MAX_EVENT_BYTES - 6))
    with pytest.raises(EventTooLongError):
        splitter.feed(b"x")


def test_the_bound_is_of_one_event_also_where_several_come_at_once():
    long = b"data: " + b"x" * (MAX_EVENT_BYTES - 8) + b"\n\n"
    assert EventSplitter().feed(long + long) == long + long
    with pytest.raises(EventTooLongError):
        EventSplitter().feed(b"data: a\n\nx" + long)


def test_a_long_event_in_small_pieces_takes_no_quadratic_search():
    splitter = EventSplitter()
    for _ in range(2000):
        splitter.feed(b"x" * 100)
    assert splitter._searched_bytes == 2000 * 100 - 3
