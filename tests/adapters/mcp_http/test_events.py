"""Events are the same however their bytes are cut."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from macroslow.adapters.mcp_http.events import Events

STREAM = (
    b"\xef\xbb\xbfevent: message\r\ndata: one\r\n\r\n: comment\n\ndata: two\ndata:three\n\nid: 1\n\n"
    b"data\n\nretry: 5\rdata: four\r\rdata: never ends"
)
EVENTS = [b"one", b"two\nthree", b"four"]


def fed(*pieces: bytes) -> list[bytes]:
    events = Events()
    return [data for piece in pieces for data in events.feed(piece)]


def test_a_stream_in_one_piece() -> None:
    assert fed(STREAM) == EVENTS


@given(st.lists(st.integers(0, len(STREAM)), max_size=8))
def test_a_stream_in_any_pieces(cuts: list[int]) -> None:
    edges = sorted({0, len(STREAM), *cuts})
    assert fed(*(STREAM[a:b] for a, b in itertools.pairwise(edges))) == EVENTS


def test_a_byte_at_a_time() -> None:
    assert fed(*(bytes([byte]) for byte in STREAM)) == EVENTS
