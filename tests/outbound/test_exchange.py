"""An answer, from bytes that may come from an adversary and are cut anywhere."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from macroslow.outbound.connection import RECEIVED_BYTES
from macroslow.outbound.exchange import (
    AT_ONCE_BYTES,
    HIGH_WATER_BYTES,
    MAX_HEAD_BYTES,
    MAX_HEADERS,
    BrokenOffError,
    Exchange,
    Patience,
    StaleConnectionError,
    TooSlowError,
)

FEW = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
FAR_S = 1e9
R = b"HTTP/1.1 200 OK\r\n"
CHUNKED = R + b"Transfer-Encoding: chunked\r\n\r\n"


class Link:
    """A connection without a network: notes what is done to it."""

    def __init__(self, *, reused: bool = False) -> None:
        self.transport = self
        self.user: Exchange | None = None
        self.reused = reused
        self.congested = False
        self.aborted = self.paused = False
        self.at_once_bytes = RECEIVED_BYTES
        self.sent: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.sent.append(bytes(data))

    def open(self) -> bool:
        return not self.aborted

    def abort(self) -> None:
        self.aborted = True

    def receive(self, at_once_bytes: int = RECEIVED_BYTES) -> None:
        self.at_once_bytes = at_once_bytes

    def pause(self) -> None:
        self.paused = True

    def resume(self) -> None:
        self.paused = False


class Owner:
    """Notes whether the connection could be used again."""

    reusable: bool | None = None
    watched_s: float = FAR_S

    def watch(self, at_s: float) -> None:
        self.watched_s = min(at_s, self.watched_s)

    def release(self, exchange, connection, *, reusable: bool) -> None:
        assert self.reusable is None, "released twice"
        self.reusable = reusable


def begun(*, reused: bool = False) -> tuple[Exchange, Link, Owner]:
    link, owner = Link(reused=reused), Owner()
    return Exchange(asyncio.get_running_loop(), link, owner, Patience(), FAR_S), link, owner


@dataclass
class SetClock:
    """As much of a loop as an exchange needs that nobody waits for: its time, which is set."""

    now_s: float

    def time(self) -> float:
        return self.now_s


async def whole(exchange: Exchange) -> bytes | None:
    """The body of an answer that has been received already."""
    await exchange.send(b"", b"")
    return await exchange.body(1 << 30)


async def heard(*pieces: bytes, closed: bool = True) -> tuple[Exchange, Owner, bytes]:
    """The answer that these pieces are, read whole."""
    exchange, link, owner = begun()
    for piece in pieces:
        exchange.received(piece)
    if closed and not link.aborted:
        exchange.ended()
        exchange.lost()
    body = await whole(exchange)
    exchange.end()
    return exchange, owner, body


WHOLE = {
    "length": (R + b"Content-Length: 5\r\n\r\nhello", 200, b"hello"),
    "empty": (R + b"Content-Length: 0\r\n\r\n", 200, b""),
    "no-content": (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b""),
    "no-content-with-length": (b"HTTP/1.1 204 No Content\r\nContent-Length: 9\r\n\r\n", 204, b""),
    "no-reason": (b"HTTP/1.1 429\r\nContent-Length: 1\r\n\r\nx", 429, b"x"),
    "chunks": (CHUNKED + b"3\r\nhel\r\n2;ext=1\r\nlo\r\n0\r\n\r\n", 200, b"hello"),
    "trailers": (CHUNKED + b"5\r\nhello\r\n0\r\nX-T: 1\r\nContent-Type: x\r\n\r\n", 200, b"hello"),
    "until-closed": (R + b"Content-Type: x\r\n\r\nhello", 200, b"hello"),
    "until-closed-1.0": (b"HTTP/1.0 200 OK\r\n\r\nhello", 200, b"hello"),
    "interim": (
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
        + R
        + b"Content-Length: 5\r\n\r\nhello",
        200,
        b"hello",
    ),
    "line-before": (b"\r\n" + R + b"Content-Length: 5\r\n\r\nhello", 200, b"hello"),
}
NEVER_KEPT = {"until-closed", "until-closed-1.0"}


@pytest.mark.parametrize("name", WHOLE)
async def test_an_answer_is_read_whole_and_its_connection_can_serve_again(name):
    raw, status, body = WHOLE[name]
    exchange, owner, got = await heard(raw, closed=name in NEVER_KEPT)
    assert (exchange.status, got) == (status, body)
    assert owner.reusable == (name not in NEVER_KEPT)
    assert not {b"link", b"x-t"} & exchange.headers.keys()


@FEW
@given(name=st.sampled_from(sorted(WHOLE)), data=st.data())
async def test_it_does_not_matter_where_an_answer_is_cut(name, data):
    raw, status, body = WHOLE[name]
    cuts = sorted(data.draw(st.sets(st.integers(1, len(raw) - 1))))
    pieces = [raw[a:b] for a, b in zip([0, *cuts], [*cuts, len(raw)], strict=True)]
    exchange, owner, got = await heard(*pieces, closed=name in NEVER_KEPT)
    assert (exchange.status, got) == (status, body)
    assert owner.reusable == (name not in NEVER_KEPT)


@FEW
@given(chunks=st.lists(st.binary(min_size=1, max_size=50), max_size=20), cut=st.integers(1, 40))
async def test_chunks_are_joined_however_they_come(chunks, cut):
    raw = CHUNKED + b"".join(b"%x\r\n%b\r\n" % (len(one), one) for one in chunks) + b"0\r\n\r\n"
    _, owner, got = await heard(*(raw[at : at + cut] for at in range(0, len(raw), cut)), closed=False)
    assert got == b"".join(chunks)
    assert owner.reusable


@pytest.mark.parametrize("name", sorted(WHOLE.keys() - NEVER_KEPT))
async def test_an_answer_that_is_cut_off_anywhere_is_a_break(name):
    raw, _, _ = WHOLE[name]
    for at in range(len(raw)):
        exchange, _, owner = begun()
        exchange.received(raw[:at])
        exchange.ended()
        exchange.lost()
        with pytest.raises(BrokenOffError):
            await whole(exchange)
        exchange.end()
        assert owner.reusable is False


@FEW
@given(
    st.lists(
        st.binary(max_size=200) | st.sampled_from([R, CHUNKED, b"\r\n", b"0\r\n", b"HTTP/1.1 101 X\r\n"])
    )
)
async def test_any_bytes_are_an_answer_or_a_break(pieces):
    exchange, link, owner = begun()
    for piece in pieces:
        exchange.received(piece)
    exchange.ended()
    exchange.lost()
    with suppress(BrokenOffError):
        await whole(exchange)
    exchange.end()
    assert link.user is None
    assert owner.reusable is not None


@pytest.mark.parametrize(
    "raw",
    [
        b"nonsense\r\n\r\n",
        b"HTTP/1.2 200 OK\r\n\r\n",
        b"HTTP/1.1 99 Low\r\n\r\n",
        b"HTTP/1.1 2000 High\r\n\r\n",
        b"HTTP/1.1 200 OK\nContent-Length: 1\n\nx",
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nabc",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        R + b"Content-Length: 1\r\nContent-Length: 1\r\n\r\nx",
        R + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
        R + b"Content-Length: -1\r\n\r\n",
        R + b"Content-Length: +1\r\n\r\nx",
        R + b"Content-Length: 1, 1\r\n\r\nx",
        R + b"Content-Length: 99999999999999999999999\r\n\r\nx",
        R + b"Transfer-Encoding: gzip\r\n\r\nx",
        R + b"Transfer-Encoding: gzip, chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
        R + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
        R + b"X: a\r\n folded\r\nContent-Length: 1\r\n\r\nx",
        R + b"X : a\r\nContent-Length: 1\r\n\r\nx",
        R + b"X: a\x00b\r\nContent-Length: 1\r\n\r\nx",
        CHUNKED + b"zz\r\n",
        CHUNKED + b"ffffffffffffffffff\r\nx",
        CHUNKED + b"1\r\nxy\r\n0\r\n\r\n",
        CHUNKED + b"-1\r\n",
    ],
)
async def test_what_is_ambiguous_or_no_http_is_a_break(raw):
    exchange, link, _ = begun()
    exchange.received(raw)
    assert link.aborted
    with pytest.raises(BrokenOffError):
        await whole(exchange)


@pytest.mark.parametrize(
    ("before", "again"),
    [
        (b"HTTP/1.1 200 ", b"x" * 1000),
        (R + b"X: ", b"y" * 1000),
        (R, b"X: y\r\n"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        (b"", b"\r\n" * 500),
        (CHUNKED + b"1;", b"e" * 1000),
        (CHUNKED + b"1\r\nx\r\n0\r\n", b"T: " + b"t" * 1000 + b"\r\n"),
        (CHUNKED + b"1\r\nx\r\n0\r\nT: ", b"t" * 1000),
    ],
    ids=["status", "header", "headers", "interim", "lines", "extension", "trailers", "trailer"],
)
async def test_what_never_ends_and_is_no_body_is_bounded(before, again):
    exchange, link, _ = begun()
    exchange.received(before)
    sent_bytes = len(before)
    while not link.aborted:
        exchange.received(again)
        sent_bytes += len(again)
        assert sent_bytes <= MAX_HEAD_BYTES + 2000
    with pytest.raises(BrokenOffError):
        await whole(exchange)


@pytest.mark.parametrize(("count", "fits"), [(MAX_HEADERS - 1, True), (MAX_HEADERS, False)])
async def test_headers_have_a_largest_number_also_in_one_piece(count, fits):
    exchange, link, _ = begun()
    exchange.received(R + b"A:\r\n" * count + b"Content-Length: 0\r\n\r\n")
    assert link.aborted is not fits


async def test_one_huge_header_in_one_piece_is_a_break():
    exchange, link, _ = begun()
    exchange.received(R + b"A: " + b"x" * MAX_HEAD_BYTES + b"\r\nContent-Length: 0\r\n\r\n")
    assert link.aborted


async def test_headers_of_one_name_are_joined():
    exchange, _, _ = await heard(R + b"X: a\r\nx: b\r\nContent-Length: 0\r\n\r\n", closed=False)
    assert exchange.headers[b"x"] == b"a, b"


@pytest.mark.parametrize("more", [b"H", b"x", R + b"Content-Length: 1\r\n\r\ny", b"\x00"])
@pytest.mark.parametrize("at_once", [True, False], ids=["same-piece", "next-piece"])
async def test_whatever_follows_an_answer_is_not_of_it_and_ends_the_connection(more, at_once):
    answer = R + b"Content-Length: 2\r\n\r\nok"
    pieces = [answer + more] if at_once else [answer, more]
    exchange, owner, got = await heard(*pieces, closed=False)
    assert (exchange.status, got, owner.reusable) == (200, b"ok", False)


@pytest.mark.parametrize(
    "raw",
    [
        R + b"Connection: close\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/2.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
    ],
)
async def test_a_connection_whose_server_does_not_keep_it_is_not_kept(raw):
    _, owner, got = await heard(raw, closed=False)
    assert (got, owner.reusable) == (b"ok", False)


async def test_a_connection_that_still_has_a_request_to_send_is_not_kept():
    exchange, link, owner = begun()
    link.congested = True
    exchange.received(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno")
    assert await whole(exchange) == b"no"
    exchange.end()
    assert owner.reusable is False


async def test_a_body_without_an_end_is_cut_off_unless_the_other_side_ends_it():
    exchange, _, _ = begun()
    exchange.received(R + b"\r\nhello")
    exchange.lost()
    assert await exchange.read() == b"hello"
    with pytest.raises(BrokenOffError):
        await exchange.read()


async def test_what_came_before_a_break_can_be_read():
    exchange, _, _ = begun()
    exchange.received(CHUNKED + b"5\r\nhello\r\nnonsense")
    await exchange.send(b"", b"")
    assert await exchange.read() == b"hello"
    with pytest.raises(BrokenOffError):
        await exchange.read()


@pytest.mark.parametrize(
    ("reused", "said", "kind"),
    [
        (True, b"", StaleConnectionError),
        (True, b"H", BrokenOffError),
        (True, b"HTTP/1.1 100 Continue\r\n\r\n", BrokenOffError),
        (False, b"", BrokenOffError),
    ],
)
async def test_only_a_kept_connection_closed_before_any_byte_is_stale(reused, said, kind):
    exchange, _, _ = begun(reused=reused)
    if said:
        exchange.received(said)
    exchange.ended()
    exchange.lost()
    with pytest.raises(BrokenOffError) as caught:
        await exchange.send(b"", b"")
    assert type(caught.value) is kind


async def test_being_late_is_not_being_stale():
    exchange, _, _ = begun(reused=True)
    exchange.check(FAR_S)
    exchange.lost()
    with pytest.raises(BrokenOffError) as caught:
        await exchange.send(b"", b"")
    assert type(caught.value) is TooSlowError


async def test_what_broke_off_is_not_late_afterwards():
    exchange, _, _ = begun()
    exchange.lost()
    exchange.check(FAR_S)
    with pytest.raises(BrokenOffError) as caught:
        await exchange.send(b"", b"")
    assert type(caught.value) is BrokenOffError


async def test_a_body_above_the_limit_is_not_gathered():
    exchange, _, _ = begun()
    exchange.received(R + b"Content-Length: 1000000\r\n\r\n" + b"x" * 2000)
    assert await exchange.body(1000) is None


async def test_reading_stops_while_nobody_takes_and_goes_on_after():
    exchange, link, _ = begun()
    exchange.received(R + b"Content-Length: 10000000\r\n\r\n")
    for _ in range(HIGH_WATER_BYTES // 1000 + 1):
        assert not link.paused
        exchange.received(b"x" * 1000)
    assert link.paused
    assert exchange.check(0) == FAR_S  # the slowness is our own
    assert len(await exchange.read()) > HIGH_WATER_BYTES
    assert not link.paused
    assert exchange.check(0) < FAR_S


async def test_a_body_that_is_read_in_pieces_comes_in_small_ones_and_the_next_one_need_not():
    exchange, link, _ = begun()
    exchange.received(CHUNKED + b"2\r\nhe\r\n")
    assert link.at_once_bytes == RECEIVED_BYTES
    assert await exchange.read() == b"he"
    assert link.at_once_bytes == AT_ONCE_BYTES
    exchange.received(b"0\r\n\r\n")
    assert await exchange.read() == b""
    exchange.end()
    assert link.at_once_bytes == RECEIVED_BYTES


async def test_a_body_that_is_wanted_whole_is_received_up_to_its_limit_and_no_further():
    exchange, link, _ = begun()
    exchange.received(R + b"Content-Length: 100000000\r\n\r\n" + bytes(RECEIVED_BYTES))
    assert link.paused  # nobody has said yet what is wanted
    wanted = asyncio.ensure_future(exchange.body(8 * RECEIVED_BYTES))
    await asyncio.sleep(0)
    assert link.at_once_bytes == RECEIVED_BYTES
    for _ in range(8):
        assert not link.paused
        exchange.received(bytes(RECEIVED_BYTES))
    assert link.paused
    assert await asyncio.wait_for(wanted, 5) is None


async def test_one_that_is_over_gives_its_caller_nothing_more():
    exchange, link, owner = begun()
    exchange.received(R + b"Content-Length: 5\r\n\r\nhe")
    exchange.end()
    exchange.end()
    assert owner.reusable is False
    assert link.user is None
    assert await exchange.read() == b"he"
    with pytest.raises(BrokenOffError):
        await exchange.read()


async def test_a_caller_that_waits_is_woken_by_every_end():
    for end in (Exchange.end, Exchange.lost, lambda one: one.check(FAR_S)):
        exchange, _, _ = begun()
        waiting = asyncio.ensure_future(exchange.send(b"", b""))
        await asyncio.sleep(0)
        end(exchange)
        with pytest.raises(BrokenOffError):
            await asyncio.wait_for(waiting, 5)


@pytest.mark.parametrize("more", [b"", b"H", b"garbage"])
async def test_a_caller_that_waits_gets_an_answer_whatever_follows_it(more):
    exchange, _, _ = begun()
    waiting = asyncio.ensure_future(whole(exchange))
    await asyncio.sleep(0)
    exchange.received(R + b"Content-Length: 2\r\n\r\nok" + more)
    assert await asyncio.wait_for(waiting, 5) == b"ok"


async def test_times_run_from_the_last_sign_of_life():
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    exchange = Exchange(loop, Link(), Owner(), Patience(head_s=100, idle_s=10), began_s + 1000)
    assert exchange.check(began_s + 95) == pytest.approx(began_s + 100, abs=4)
    exchange.received(R + b"Content-Length: 5\r\n\r\nhe")
    assert exchange.check(began_s) == pytest.approx(began_s + 10, abs=4)
    exchange.received(b"llo")
    assert exchange.check(FAR_S) == float("inf")
    assert await exchange.body(10) == b"hello"


@pytest.mark.parametrize("head_after_s", [0, 5, 15, 99])
async def test_whenever_the_head_comes_silence_after_it_is_noticed_when_it_is_due(head_after_s):
    began_s = 1000.0
    clock = SetClock(began_s)
    exchange = Exchange(clock, Link(), Owner(), Patience(head_s=100, idle_s=10), began_s + 1000)
    looks_s = [began_s]
    while (next_s := exchange.check(looks_s[-1])) <= began_s + head_after_s:  # as its owner does
        looks_s.append(next_s)
    assert next_s <= began_s + head_after_s + 10
    clock.now_s = began_s + head_after_s
    exchange.received(R + b"Content-Length: 5\r\n\r\nhe")
    assert exchange.check(next_s) == began_s + head_after_s + 10
    exchange.check(began_s + head_after_s + 10)
    with pytest.raises(TooSlowError, match="silence"):
        await exchange.body(10)
