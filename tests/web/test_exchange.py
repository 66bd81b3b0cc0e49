"""One answer as it is written: framed once, in as few writes as can be, and of no more lines than meant."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from macroslow.web.exchange import Exchange, header_lines
from macroslow.web.flow import Flow
from macroslow.web.messages import ASGIApp, Message
from macroslow.web.visit import ENCRYPTED_HEADERS, POLICY_HEADER, SECURITY_HEADERS


class Wire(asyncio.Transport):
    """A connection whose writes are kept."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []
        self.closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.writes.append(bytes(data))

    def writelines(self, list_of_data) -> None:
        self.writes.append(b"".join(list_of_data))

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def set_write_buffer_limits(self, high: int) -> None:
        assert high == 1

    def get_write_buffer_size(self) -> int:
        return 0


class Talk:
    """An exchange on a wire of its own."""

    def __init__(
        self, method: str = "GET", *, keep_alive: bool = True, expects_continue: bool = False
    ) -> None:
        self.wire = Wire()
        self.flow = Flow(self.wire)
        self.over = 0
        scope = {"type": "http", "method": method}
        self.exchange = Exchange(
            scope,
            self.wire,
            self.flow,
            [b"date: now\r\n"],
            self._over,
            keep_alive=keep_alive,
            expects_continue=expects_continue,
        )

    def _over(self) -> None:
        self.over += 1

    async def run(self, app: ASGIApp) -> None:
        """Let an application answer, in a task of its own, which is under way until it has."""
        tasks: set[asyncio.Task[None]] = set()
        task = asyncio.create_task(self.exchange.run(app, tasks))
        tasks.add(task)
        await asyncio.gather(task, return_exceptions=True)
        assert not tasks

    async def start(self, status: int, *headers: tuple[bytes, bytes]) -> None:
        await self.exchange.send({"type": "http.response.start", "status": status, "headers": headers})

    async def body(self, body: bytes, *, more: bool = False) -> None:
        await self.exchange.send({"type": "http.response.body", "body": body, "more_body": more})


async def test_an_answer_of_known_length_is_one_write() -> None:
    talk = Talk()
    await talk.start(200, (b"content-length", b"4"))
    assert talk.wire.writes == []
    await talk.body(b"pong")
    assert talk.wire.writes == [b"HTTP/1.1 200 OK\r\ndate: now\r\ncontent-length: 4\r\n\r\npong"]
    assert (talk.over, talk.wire.closed) == (1, False)


async def test_without_a_length_the_head_goes_first_and_each_piece_as_a_chunk() -> None:
    talk = Talk()
    await talk.start(200)
    await talk.body(b"a" * 17, more=True)
    await talk.body(b"", more=True)
    await talk.body(b"b")
    head, *chunks = talk.wire.writes
    assert head.endswith(b"transfer-encoding: chunked\r\n\r\n")
    assert b"".join(chunks) == b"11\r\n" + b"a" * 17 + b"\r\n1\r\nb\r\n0\r\n\r\n"
    assert talk.over == 1


@pytest.mark.parametrize("status", [204, 304])
async def test_what_has_no_body_by_its_status_has_no_framing(status: int) -> None:
    talk = Talk()
    await talk.start(status)
    await talk.body(b"")
    (written,) = talk.wire.writes
    assert written.endswith(b"date: now\r\n\r\n")


_OTHER_POLICY = [(name, b"none" if name == POLICY_HEADER else value) for name, value in SECURITY_HEADERS]


@pytest.mark.parametrize(
    "headers",
    [
        [*SECURITY_HEADERS, (b"x-name", b"value")],
        [*ENCRYPTED_HEADERS, (b"x-name", b"value")],
        [*_OTHER_POLICY, (b"x-name", b"value")],
        [(b"x-name", b"value"), *SECURITY_HEADERS],
        [*SECURITY_HEADERS[1:], (b"x-name", b"value")],
        [*SECURITY_HEADERS, *SECURITY_HEADERS],
    ],
    ids=["plain", "encrypted", "other-policy", "behind", "one-less", "twice"],
)
async def test_headers_that_nearly_every_answer_has_are_written_as_any_others(
    headers: list[tuple[bytes, bytes]],
) -> None:
    talk = Talk()
    await talk.start(200, *headers, (b"content-length", b"0"))
    await talk.body(b"")
    lines = b"".join(b"%b: %b\r\n" % header for header in headers)
    assert talk.wire.writes == [b"HTTP/1.1 200 OK\r\ndate: now\r\n" + lines + b"content-length: 0\r\n\r\n"]


async def test_behind_them_no_value_starts_a_line_of_its_own_and_none_frames_the_answer() -> None:
    with pytest.raises(RuntimeError, match="control character"):
        await Talk().start(200, *SECURITY_HEADERS, (b"x-name", b"a\r\nx: y"))
    with pytest.raises(RuntimeError, match="framed"):
        await Talk().start(200, *SECURITY_HEADERS, (b"transfer-encoding", b"gzip"))
    talk = Talk()
    await talk.start(200, *SECURITY_HEADERS, (b"connection", b"close"), (b"content-length", b"0"))
    await talk.body(b"")
    assert talk.wire.closed


async def test_head_gets_the_head_alone() -> None:
    talk = Talk("HEAD")
    await talk.start(200, (b"content-length", b"4"))
    await talk.body(b"pong")
    assert b"".join(talk.wire.writes).endswith(b"content-length: 4\r\n\r\n")
    assert talk.over == 1


@pytest.mark.parametrize("body", [b"pon", b"pongs"])
async def test_another_length_than_declared_is_an_error_and_cut_off(body: bytes) -> None:
    talk = Talk()

    async def app(scope, receive, send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4")]})
        await send({"type": "http.response.body", "body": body})

    await talk.run(app)
    assert talk.wire.closed
    assert (talk.wire.writes, talk.over) == ([], 1)


async def test_an_application_that_ends_too_early_is_cut_off() -> None:
    talk = Talk()

    async def app(scope, receive, send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})

    await talk.run(app)
    assert talk.wire.closed
    assert not talk.wire.writes[-1].endswith(b"0\r\n\r\n")


@pytest.mark.parametrize("first", [b"close", b"Close, te"])
async def test_who_says_that_it_closes_closes(first: bytes) -> None:
    talk = Talk()
    await talk.start(200, (b"connection", first), (b"content-length", b"0"))
    await talk.body(b"")
    assert talk.wire.writes[0].count(b"connection: close\r\n") == 1
    assert talk.wire.closed


@pytest.mark.parametrize(
    "wrong",
    [
        [{"type": "http.response.body", "body": b""}],
        [{"type": "http.response.start", "status": 200}] * 2,
        [{"type": "http.response.start", "status": 200, "headers": [(b"transfer-encoding", b"gzip")]}],
        [{"type": "http.response.start", "status": 204}, *[{"type": "http.response.body"}] * 2],
        [{"type": "websocket.send"}],
    ],
    ids=["body-first", "two-heads", "own-framing", "two-ends", "another-protocol"],
)
async def test_messages_out_of_order_are_errors(wrong: list[Message]) -> None:
    talk = Talk()
    with pytest.raises(RuntimeError):  # noqa: PT012 - the last of them is the wrong one
        for message in wrong:
            await talk.exchange.send(message)


async def test_to_a_caller_who_is_gone_nothing_is_written() -> None:
    talk = Talk()
    talk.exchange.leave()
    await talk.start(200)
    assert talk.wire.writes == []
    assert await talk.exchange.receive() == {"type": "http.disconnect"}


async def test_a_writer_waits_for_a_reader_that_is_behind() -> None:
    talk = Talk()
    await talk.start(200)
    talk.flow.pause_writing()
    writing = asyncio.ensure_future(talk.body(b"more", more=True))
    await asyncio.sleep(0)
    assert not writing.done()
    talk.flow.resume_writing()
    await writing
    assert talk.wire.writes[-1] == b"4\r\nmore\r\n"


async def test_leave_to_send_is_given_once_and_only_to_who_asked() -> None:
    talk = Talk("POST", expects_continue=True)
    talk.exchange.take(b"a")
    await talk.exchange.receive()
    talk.exchange.end_body()
    await talk.exchange.receive()
    assert talk.wire.writes == [b"HTTP/1.1 100 Continue\r\n\r\n"]


async def test_whoever_waits_for_a_piece_hears_of_it_and_nobody_of_an_old_one() -> None:
    talk = Talk("POST")
    both = [asyncio.ensure_future(talk.exchange.receive()) for _ in range(2)]
    await asyncio.sleep(0)
    talk.exchange.take(b"a")
    assert [(await each)["body"] for each in both] == [b"a", b""]
    talk.exchange.take(b"b")
    assert (await talk.exchange.receive())["body"] == b"b"
    third = asyncio.ensure_future(talk.exchange.receive())
    await asyncio.sleep(0.01)
    assert not third.done()
    talk.exchange.leave()
    assert await third == {"type": "http.disconnect"}


@given(st.lists(st.binary(min_size=1, max_size=9), max_size=9), st.integers(0, 9))
async def test_a_body_is_received_as_it_came_however_it_was_cut(pieces: list[bytes], read_after: int) -> None:
    talk = Talk("POST")
    received = b""
    for at, piece in enumerate(pieces):
        talk.exchange.take(piece)
        if at == read_after:
            message = await talk.exchange.receive()
            received += message["body"]
            assert message["more_body"]
    talk.exchange.end_body()
    message = await talk.exchange.receive()
    assert received + message["body"] == b"".join(pieces)
    assert not message["more_body"]


@given(st.lists(st.tuples(st.binary(min_size=1, max_size=6), st.binary(max_size=12)), max_size=4))
def test_headers_are_as_many_lines_as_there_are_or_refused(headers: list[tuple[bytes, bytes]]) -> None:
    sound = all(byte == 9 or (byte >= 32 and byte != 127) for name, value in headers for byte in name + value)
    if sound:
        assert header_lines(headers).split(b"\r\n")[:-1] == [b"%b: %b" % header for header in headers]
    else:
        with pytest.raises(RuntimeError, match="control character"):
            header_lines(headers)


@pytest.mark.parametrize("value", [b"a\r\nx: y", b"a\ny", b"a\ry", b"\r\n", b"\x00", b"\x7f"])
def test_no_value_starts_a_line_of_its_own(value: bytes) -> None:
    with pytest.raises(RuntimeError, match="control character"):
        header_lines([(b"x-name", value)])
