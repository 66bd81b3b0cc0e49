"""Lines of a hostile stream: split as they are, and held to their cap."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from macroslow.adapters.mcp_stdio.lines import Lines, Overlong

CAP = 300


def fed(chunks: list[bytes], cap: int = CAP) -> list[bytes | Overlong]:
    lines = Lines(cap)
    return [line for chunk in chunks for line in lines.feed(chunk)]


@given(st.lists(st.binary(max_size=CAP).filter(lambda line: b"\n" not in line)), st.integers(1, 50))
def test_lines_within_the_cap_come_as_they_were_written_however_they_are_cut(
    lines: list[bytes], size: int
) -> None:
    stream = b"".join(line + b"\n" for line in lines)
    chunks = [stream[at : at + size] for at in range(0, len(stream), size)]
    assert fed(chunks) == [line for line in lines if line]


@given(st.integers(CAP + 1, 20 * CAP), st.integers(1, 400), st.integers(0, 10**14))
def test_a_line_beyond_the_cap_is_told_of_by_its_length_and_the_id_at_either_end(
    length: int, size: int, number: int
) -> None:
    for text in (b'{"jsonrpc":"2.0","id":%d,"result":"', b'{"id": %d, "jsonrpc":"2.0","result":"'):
        line = (text % number).ljust(length, b"x")
        stream = b"a\n" + line + b"\nb\n"
        chunks = [stream[at : at + size] for at in range(0, len(stream), size)]
        assert fed(chunks) == [b"a", Overlong(len(line), number), b"b"]
    line = b'{"result":"'.ljust(length, b"x") + b'","jsonrpc":"2.0","id":%d}' % number
    assert fed([line + b"\n"]) == [Overlong(len(line), number)]


@pytest.mark.parametrize(
    "line",
    [
        b'{"result":{"id":7,' + b"x" * CAP,
        b"x" * CAP + b'"id":7',
        b'{"jsonrpc":"2.0","id":"7",' + b"x" * CAP,
        b"[" * (2 * CAP),
    ],
    ids=["inside", "no-end", "text", "nesting"],
)
def test_an_id_that_is_not_plainly_the_messages_own_is_not_believed(line: bytes) -> None:
    assert fed([line + b"\n"]) == [Overlong(len(line), None)]


@given(st.lists(st.binary(min_size=1, max_size=100).filter(lambda line: b"\n" not in line), min_size=1))
def test_no_more_than_the_cap_and_one_chunk_is_held(chunks: list[bytes]) -> None:
    lines = Lines(50)
    for chunk in chunks:
        assert list(lines.feed(chunk)) == []
        assert len(lines._held) <= max(50, 256)
    assert lines.passed_bytes + len(lines._held) == sum(map(len, chunks))
