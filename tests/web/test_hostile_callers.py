"""Callers that send well-formed bytes in the worst way: too many at once, cut anywhere, and reading nothing.

Whatever they do, the connection and its tasks are gone afterwards, and others are served.
"""

import asyncio
import gc
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import suppress

import pytest
from tests.web.fakes import House, build
from tests.web.raw import GOOD, Listening, listening, say, statuses

from macroslow.metering.ledger import Usage
from macroslow.services.calls.call_model import ModelAnswer, ModelStream
from macroslow.web import flow
from macroslow.web.connection import PIECE_BYTES, Bounds
from macroslow.web.exchange import Exchange
from macroslow.web.gate import GateSettings

BOUNDS = Bounds(connections=64, head_s=2, keep_alive_s=2)
LEAST = b"GET / HTTP/1.1\r\n\r\n"
NOW = struct.pack("ii", 1, 0)  # SO_LINGER: a close is a reset


async def until(done: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not done():
            await asyncio.sleep(0.01)


@pytest.fixture
async def house(monkeypatch: pytest.MonkeyPatch) -> House:
    monkeypatch.setattr("macroslow.web.bodies.LINGER_S", 0.1)
    return await build(GateSettings(body_deadline_s=2))


@pytest.fixture
async def listener(house: House) -> AsyncIterator[Listening]:
    listener = await listening(house.gate, BOUNDS)
    before = len(asyncio.all_tasks())
    yield listener
    assert statuses(await say(listener.port, GOOD)) == [200]
    await until(lambda: not listener.connections and len(asyncio.all_tasks()) <= before)
    await listener.close(0)


def asking(house: House, *headers: bytes, body: bytes = b"") -> bytes:
    own = [b"POST /v1/chat/completions HTTP/1.1", b"host: localhost", b"x-api-key: " + house.key.encode()]
    return b"\r\n".join([*own, b"content-type: application/json", *headers, b"", body])


def caller(listener: Listening) -> socket.socket:
    return socket.create_connection(("127.0.0.1", listener.port))


async def test_a_thousand_requests_at_once_are_answered_in_their_order(
    house: House, listener: Listening
) -> None:
    paths = [b"/health/live", b"/nope", b"/health/ready", b"/execute"]
    requests = [
        b"GET " + paths[at % 4] + b" HTTP/1.1\r\nhost: localhost\r\nx-pad: " + b"x" * (at % 97) + b"\r\n\r\n"
        for at in range(1000)
    ]
    answer = await say(listener.port, b"".join(requests), GOOD)
    assert statuses(answer) == [200, 404, 200, 405] * 250 + [200]


async def test_a_thousand_requests_with_bodies_at_once_are_each_done_once(
    house: House, listener: Listening
) -> None:
    bodies = [b'{"n":%d,"pad":"%s"}' % (at, b"x" * (at * 7 % 5000)) for at in range(1000)]
    requests = (
        asking(house, b"content-length: %d" % len(body), body=body)
        if at % 2
        else asking(house, b"transfer-encoding: chunked", body=b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body))
        for at, body in enumerate(bodies)
    )
    answer = await say(listener.port, b"".join(requests), GOOD)
    assert statuses(answer) == [200] * 1001
    assert [chat[1] for chat in house.seen.chats] == bodies


async def test_what_waits_for_its_turn_stays_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """14,000 requests fit into what one read brings; parsed at once they would weigh 25 MB a connection."""
    working, leave = asyncio.Event(), asyncio.Event()

    async def slow(*_: object, **__: object) -> ModelAnswer:
        working.set()
        await leave.wait()
        return ModelAnswer(200, {}, b"{}", Usage(0, 0, 0), 0)

    house = await build(call_model=slow)
    listener = await listening(house.gate, BOUNDS)
    flood = asking(house, b"content-length: 2", body=b"{}") + LEAST * 4000
    talking = asyncio.create_task(say(listener.port, flood, GOOD))
    await working.wait()
    for _ in range(20):
        await asyncio.sleep(0.01)
    gc.collect()  # what is left of other tests
    held = sum(isinstance(found, Exchange) for found in gc.get_objects())
    assert held <= PIECE_BYTES // len(LEAST) + 2
    leave.set()
    assert statuses(await talking) == [200, *[400] * 4000, 200]
    await listener.close(0)


async def test_a_caller_that_hangs_up_with_requests_waiting_is_forgotten(
    house: House, listener: Listening
) -> None:
    for _ in range(20):
        with caller(listener) as one:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NOW)
            one.setblocking(False)
            one.send(LEAST * 5000)
    await until(lambda: not listener.connections)


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunks"])
@pytest.mark.parametrize("reset", [True, False], ids=["reset", "half-closed"])
async def test_a_request_that_is_cut_anywhere_is_not_done(
    chunked: bool, reset: bool, house: House, listener: Listening
) -> None:
    if chunked:
        chunks = b"1;x=y\r\n{\r\n1\r\n}\r\n0\r\nx: y\r\n\r\n"
        whole = asking(house, b"transfer-encoding: chunked", body=chunks)
    else:
        whole = asking(house, b"expect: 100-continue", b"content-length: 2", body=b"{}")
    for cut in range(len(whole)):
        with caller(listener) as one:
            one.sendall(whole[:cut])
            await asyncio.sleep(0)
            if reset:
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NOW)
            else:
                one.shutdown(socket.SHUT_WR)
                await asyncio.sleep(0)
    await until(lambda: not listener.connections)
    assert not house.seen.chats


async def test_a_body_of_the_smallest_chunks_is_one_body(house: House, listener: Listening) -> None:
    count = 200_000
    body = b"1;" + b"e" * 20 + b"\r\n{\r\n" + b"2\r\nab\r\n" * count + b"0\r\n\r\n"
    answer = await say(listener.port, asking(house, b"transfer-encoding: chunked", body=body), GOOD)
    assert statuses(answer) == [200, 200]
    assert house.seen.chats[0][1] == b"{" + b"ab" * count


async def test_a_refusal_does_not_wait_for_a_body_that_never_ends(house: House, listener: Listening) -> None:
    head = b"POST /nope HTTP/1.1\r\nhost: localhost\r\ncontent-length: 900000000000000\r\n\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
    writer.write(head)
    async with asyncio.timeout(60):
        with suppress(ConnectionError):
            while not reader.at_eof():
                writer.write(b"x" * 65536)
                await writer.drain()
                await asyncio.sleep(0)
    await until(lambda: not listener.connections)
    writer.close()


async def large(*_: object, **__: object) -> ModelAnswer:
    """A use case whose answer no socket holds."""
    return ModelAnswer(200, {}, b"x" * 20_000_000, Usage(0, 0, 0), 0)


async def beside_an_unread_answer(house: House) -> tuple[list[int], list[int]]:
    """Statuses of the same caller's next request: while a large answer waits to be taken, and after that."""
    listener = await listening(house.gate, BOUNDS)
    request = asking(house, b"content-length: 2\r\nconnection: close", body=b"{}")
    with caller(listener) as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        one.sendall(request)
        one.setblocking(False)
        assert await asyncio.get_running_loop().sock_recv(one, 1)  # its answer is on its way
        meanwhile = statuses(await say(listener.port, request))
    await until(lambda: not listener.connections)
    afterwards = statuses(await say(listener.port, request))
    await listener.close(0)
    return meanwhile, afterwards


async def unread(house: House, then: bytes) -> None:
    """Ask for much, read nothing, send more; the connection must be gone soon."""
    listener = await listening(house.gate, BOUNDS)
    with caller(listener) as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        one.sendall(asking(house, b"content-length: 2", body=b"{}"))
        await until(lambda: listener.connections == 1)
        with suppress(ConnectionError):  # a busy machine may find it cut off already
            one.sendall(then)
        await until(lambda: not listener.connections)
    await listener.close(0)


@pytest.mark.parametrize("then", [b"", b"nonsense\r\n\r\n", GOOD], ids=["nothing", "nonsense", "another"])
async def test_who_reads_nothing_of_an_answer_is_cut_off_whatever_he_sends(
    then: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flow, "STUCK_S", 0.3)

    await unread(await build(call_model=large), then)


async def test_who_reads_nothing_of_a_stream_that_breaks_off_is_cut_off(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(flow, "STUCK_S", 0.3)

    async def chunks() -> AsyncIterator[bytes]:
        yield b"x" * 20_000_000
        raise ValueError

    async def stream(*_: object, **__: object) -> ModelStream:
        return ModelStream({}, chunks())  # type: ignore[arg-type]

    await unread(await build(call_model=stream), b"")


async def test_who_leaves_large_answers_unread_has_no_room_for_another_request() -> None:
    """A whole answer is as large as a provider makes it, and costs next to nothing."""

    house = await build(GateSettings(bytes_in_flight=40_000_000), call_model=large)
    assert await beside_an_unread_answer(house) == ([503], [200])


async def test_an_answer_that_is_not_taken_is_a_request_under_way() -> None:
    house = await build(call_model=large)
    house.key = await house.new_key("alice", concurrent_requests=1)
    assert await beside_an_unread_answer(house) == ([429], [200])


async def test_who_takes_an_answer_in_drips_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flow, "STUCK_S", 0.3)
    monkeypatch.setattr(flow, "LEAST_TAKEN_BYTES", 15_000_000)

    house = await build(call_model=large)
    listener = await listening(house.gate, BOUNDS)
    with caller(listener) as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        one.sendall(asking(house, b"content-length: 2", body=b"{}"))
        one.setblocking(False)
        with suppress(ConnectionError):
            while await asyncio.get_running_loop().sock_recv(one, 1024):
                await asyncio.sleep(0.01)
    await until(lambda: not listener.connections)
    await listener.close(0)
