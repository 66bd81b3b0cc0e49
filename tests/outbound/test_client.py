"""Exchanges over real sockets, with servers that behave and servers that do not."""

import asyncio
import hashlib
import socket
import threading
from contextlib import suppress

import pytest
from tests.outbound.raw import HEAD, OK, Peer, ask, client_of, saying, serving

from macroslow.outbound import client as client_module
from macroslow.outbound.client import Client
from macroslow.outbound.connection import RECEIVED_BYTES
from macroslow.outbound.dialling import NotConnectedError
from macroslow.outbound.exchange import (
    AT_ONCE_BYTES,
    HIGH_WATER_BYTES,
    PIECE_BYTES,
    BrokenOffError,
    Patience,
    StaleConnectionError,
    TooSlowError,
)

LARGE = 32 * 1024 * 1024


async def always_ok(peer: Peer) -> None:
    while True:
        await peer.request()
        await peer.say(OK)


async def echo(peer: Peer) -> None:
    while True:
        body = await peer.request()
        await peer.say(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))


async def test_one_connection_serves_many_exchanges():
    async with serving(always_ok) as server, client_of(server) as client:
        for _ in range(20):
            assert await ask(client) == (200, b"ok")
        assert server.connections == 1


async def test_a_thousand_exchanges_at_once_get_each_its_own_answer():
    async with serving(echo) as server, client_of(server) as client:
        for _ in range(2):
            bodies = [b"%d" % number * 50 for number in range(1000)]
            answers = await asyncio.gather(*(ask(client, body, deadline_s=60) for body in bodies))
            assert [body for _, body in answers] == bodies
        assert server.connections == 1000


@pytest.mark.parametrize(
    "answer",
    [
        OK + b"x",
        OK + OK,
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nKeep-Alive: timeout=1, max=5\r\nContent-Length: 2\r\n\r\nok",
    ],
    ids=["more", "two", "close", "old", "short"],
)
async def test_a_connection_that_cannot_be_trusted_is_not_used_again(answer):
    async def talk(peer: Peer) -> None:
        await peer.request()
        await peer.say(answer)
        await peer.until_gone()

    async with serving(talk) as server, client_of(server) as client:
        for _ in range(3):
            assert await ask(client) == (200, b"ok")
        assert server.connections == 3
        await server.all_gone()


async def test_what_comes_unasked_ends_a_kept_connection_and_answers_nobody():
    said = asyncio.Event()

    async def talk(peer: Peer) -> None:
        await peer.request()
        await peer.say(OK)
        if peer.number == 0:
            await said.wait()
            await peer.say(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
            await peer.until_gone()

    async with serving(talk) as server, client_of(server) as client:
        await ask(client)
        said.set()
        await server.all_gone()
        assert await ask(client) == (200, b"ok")
        assert server.connections == 2


async def test_one_that_its_server_closed_while_idle_is_not_used_again():
    async def talk(peer: Peer) -> None:
        await peer.request()
        await peer.say(OK)

    async with serving(talk) as server, client_of(server) as client:
        for number in range(5):
            assert await ask(client) == (200, b"ok")
            await server.all_gone()
            assert server.connections == number + 1


async def test_a_close_that_the_loop_has_not_seen_yet_is_seen_before_a_request_is_sent():
    """The server is a thread, and the loop does not run between its close and the next request."""
    listener = socket.create_server(("127.0.0.1", 0))
    closed = threading.Event()

    def serve() -> None:
        for _ in range(2):
            peer, _ = listener.accept()
            assert peer.recv(65536)
            peer.sendall(OK)
            peer.close()
            closed.set()

    thread = threading.Thread(target=serve)
    thread.start()
    client = Client("127.0.0.1", listener.getsockname()[1], tls=False, patience=Patience())
    exchange = await client.send(HEAD % 2, b"{}", 10)
    assert await exchange.body(10) == b"ok"
    assert closed.wait(5)
    exchange.end()
    assert await ask(client) == (200, b"ok")
    thread.join(5)
    client.close()
    listener.close()


async def test_a_request_that_crosses_the_close_of_a_kept_connection_is_told_apart():
    async def talk(peer: Peer) -> None:
        await peer.request()
        await peer.say(OK)
        await peer.request()  # and leave without a word

    async with serving(talk) as server, client_of(server) as client:
        await ask(client)
        with pytest.raises(StaleConnectionError):
            await ask(client)
        assert server.connections == 1  # nothing was repeated


async def test_idle_connections_are_closed_in_time(monkeypatch):
    monkeypatch.setattr(client_module, "KEPT_ALIVE_S", 0.05)
    async with serving(always_ok) as server, client_of(server) as client:
        await asyncio.gather(*(ask(client) for _ in range(5)))
        await server.all_gone()
        assert await ask(client) == (200, b"ok")


async def test_the_most_recently_used_connection_is_taken():
    numbers: list[int] = []

    async def talk(peer: Peer) -> None:
        while True:
            await peer.request()
            numbers.append(peer.number)
            await peer.say(OK)

    async with serving(talk) as server, client_of(server) as client:
        open_ones = [await client.send(HEAD % 2, b"{}", 10) for _ in range(3)]
        for at in (1, 0, 2):
            await open_ones[at].body(10)
            open_ones[at].end()
        numbers.clear()
        await ask(client)
        await ask(client)
    assert numbers == [2, 2]


async def test_an_answer_that_is_over_never_shows_another():
    async def talk(peer: Peer) -> None:
        for number in range(2):
            await peer.request()
            await peer.say(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n%d" % number)
        await peer.until_gone()

    async with serving(talk) as server, client_of(server) as client:
        first = await client.send(HEAD % 2, b"{}", 10)
        assert await first.read() == b"0"
        first.end()
        second = await client.send(HEAD % 2, b"{}", 10)
        assert await first.read() == b""
        first.end()
        assert await second.read() == b"1"
        second.end()
        assert server.connections == 1


# Time


@pytest.mark.parametrize(
    "said",
    [b"", b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx"],
    ids=["nothing", "interim", "half"],
)
@pytest.mark.parametrize("patience", [{"head_s": 0.2, "idle_s": 0.2}, {}], ids=["silence", "deadline"])
async def test_a_server_that_falls_silent_is_given_up_and_left(said, patience):
    async def talk(peer: Peer) -> None:
        if not patience:
            await peer.request()
            await peer.say(OK)
        await peer.request()
        await peer.say(said)
        await peer.until_gone()

    async with serving(talk) as server, client_of(server, **patience) as client:
        if not patience:
            await ask(client)  # connecting takes a time that is not ours to say
        with pytest.raises(BrokenOffError):
            await ask(client, deadline_s=10 if patience else 0.05)
        await server.all_gone()


async def test_a_server_that_says_a_little_now_and_then_meets_the_deadline():
    async def talk(peer: Peer) -> None:
        await peer.request()
        await peer.say(OK)
        await peer.request()
        await peer.say(b"HTTP/1.1 200 OK\r\nContent-Type: x\r\n\r\n")
        while True:
            await peer.say(b"x")
            await asyncio.sleep(0.01)

    async with serving(talk) as server, client_of(server) as client:
        await ask(client)
        with pytest.raises(BrokenOffError, match="time is up"):
            await ask(client, deadline_s=0.2)
        await server.all_gone()


async def test_silence_after_a_head_that_came_late_does_not_last_as_long_as_one_may_wait_for_a_head():
    async def talk(peer: Peer) -> None:
        await peer.request()
        await asyncio.sleep(0.35)  # longer than silence may last, and no multiple of it
        await peer.say(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe")
        await peer.until_gone()

    async with serving(talk) as server, client_of(server, head_s=60, idle_s=0.2) as client:
        async with asyncio.timeout(10):
            with pytest.raises(TooSlowError, match="silence"):
                await ask(client, b"x")


async def test_waiting_for_a_connection_has_an_end():
    """TLS never begins: the connection is made, but never ready."""
    async with serving(saying(stay=True)) as server:
        client = Client("127.0.0.1", server.port, tls=True, patience=Patience(connect_s=0.05))
        with pytest.raises(NotConnectedError, match="no connection in time"):
            await ask(client)
        await server.all_gone()
        client.close()


@pytest.mark.parametrize("deadline_s", [0, -1])
async def test_when_no_time_is_left_nothing_is_sent(deadline_s):
    async with serving(always_ok) as server, client_of(server) as client:
        for _ in range(2):
            with pytest.raises(NotConnectedError):
                await ask(client, deadline_s=deadline_s)
            assert await ask(client) == (200, b"ok")


async def test_no_timer_is_left_when_nothing_is_under_way(monkeypatch):
    monkeypatch.setattr(client_module, "KEPT_ALIVE_S", 0.02)
    async with serving(always_ok) as server, client_of(server) as client:
        await ask(client)
        await server.all_gone()
        assert client._timer is None
        assert not client._under_way
        assert not client._kept


# Cancelling


@pytest.mark.parametrize(
    "said",
    [b"", b"HTTP/1.1 200", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx"],
    ids=["waiting", "half-head", "half-body"],
)
async def test_cancelling_an_exchange_closes_its_connection(said):
    arrived = asyncio.Event()

    async def talk(peer: Peer) -> None:
        await peer.request()
        await peer.say(said)
        arrived.set()
        await peer.until_gone()

    async with serving(talk) as server, client_of(server) as client:
        asking = asyncio.create_task(ask(client))
        await arrived.wait()
        await asyncio.sleep(0)
        asking.cancel()
        await asyncio.wait({asking})
        assert asking.cancelled()
        await server.all_gone()


async def test_cancelling_while_a_connection_is_made_closes_it():
    connected = asyncio.Event()

    async def talk(peer: Peer) -> None:
        connected.set()
        await peer.until_gone()

    async with serving(talk) as server:
        client = Client("127.0.0.1", server.port, tls=True, patience=Patience())
        asking = asyncio.create_task(ask(client))
        await connected.wait()
        asking.cancel()
        await asyncio.wait({asking})
        await server.all_gone()
        client.close()


async def test_cancelling_while_a_large_request_is_sent_closes_its_connection():
    begun = asyncio.Event()

    async def talk(peer: Peer) -> None:
        await peer.reader.readuntil(b"\r\n\r\n")
        begun.set()
        await left.wait()
        await peer.until_gone()

    left = asyncio.Event()
    async with serving(talk) as server, client_of(server) as client:
        asking = asyncio.create_task(ask(client, bytes(LARGE)))
        await begun.wait()
        asking.cancel()
        await asyncio.wait({asking})
        left.set()
        await server.all_gone()


async def test_closing_the_client_ends_what_is_under_way():
    async with serving(saying(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx", stay=True)) as server:
        async with client_of(server) as client:
            exchange = await client.send(HEAD % 2, b"{}", 10)
            assert await exchange.read() == b"x"
            reading = asyncio.create_task(exchange.read())
            await asyncio.sleep(0)
            client.close()
            with pytest.raises(BrokenOffError):
                await reading
        await server.all_gone()


# Sizes


async def test_a_fast_server_waits_for_a_slow_reader():
    sent_bytes = 0
    blocked = asyncio.Event()

    async def talk(peer: Peer) -> None:
        nonlocal sent_bytes
        await peer.request()
        peer.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
        await peer.say(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % LARGE)
        while sent_bytes < LARGE:
            peer.writer.write(bytes(65536))
            sent_bytes += 65536
            drained = asyncio.ensure_future(peer.writer.drain())
            if not (await asyncio.wait({drained}, timeout=0.2))[0]:
                blocked.set()
            await drained

    async with serving(talk) as server, client_of(server, idle_s=5) as client:
        exchange = await client.send(HEAD % 2, b"{}", 60)
        await asyncio.wait_for(blocked.wait(), 30)
        assert sent_bytes < LARGE
        assert len(exchange.waiting) <= HIGH_WATER_BYTES + RECEIVED_BYTES
        got_bytes = len(await exchange.read())
        while piece := await exchange.read():
            assert len(piece) <= HIGH_WATER_BYTES + AT_ONCE_BYTES
            got_bytes += len(piece)
        exchange.end()
        assert got_bytes == LARGE


async def test_a_large_request_goes_out_as_fast_as_it_is_taken_and_no_faster():
    held = asyncio.Event()
    digest = hashlib.sha256()

    async def talk(peer: Peer) -> None:
        await peer.reader.readuntil(b"\r\n\r\n")
        await held.wait()
        left_bytes = LARGE
        while left_bytes:
            piece = await peer.reader.read(65536)
            digest.update(piece)
            left_bytes -= len(piece)
        await peer.say(OK)
        await peer.until_gone()

    body = (bytes(range(251)) * (LARGE // 251 + 1))[:LARGE]
    async with serving(talk) as server, client_of(server) as client:
        asking = asyncio.create_task(ask(client, body, deadline_s=60))
        while not (under_way := list(client._under_way)) or not under_way[0]._connection.congested:
            await asyncio.sleep(0)
        assert under_way[0]._connection.transport.get_write_buffer_size() <= 2 * PIECE_BYTES
        held.set()
        assert await asking == (200, b"ok")
        assert digest.digest() == hashlib.sha256(body).digest()


@pytest.mark.parametrize("reads_on", [True, False], ids=["reads-on", "stops-reading"])
async def test_an_early_refusal_of_a_large_request_is_the_answer(reads_on):
    async def talk(peer: Peer) -> None:
        await peer.reader.readuntil(b"\r\n\r\n")
        await peer.say(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno")
        await (peer.until_gone() if reads_on else stay.wait())

    stay = asyncio.Event()
    async with serving(talk) as server, client_of(server) as client:
        assert await ask(client, bytes(LARGE)) == (413, b"no")
        stay.set()
        await server.all_gone()
        assert server.connections == 1


async def test_an_early_success_of_a_large_request_is_a_break():
    stay = asyncio.Event()

    async def talk(peer: Peer) -> None:
        await peer.reader.readuntil(b"\r\n\r\n")
        await peer.say(OK)
        await stay.wait()

    async with serving(talk) as server, client_of(server) as client:
        with pytest.raises(BrokenOffError, match="before it was asked"):
            await ask(client, bytes(LARGE))
        stay.set()
        await server.all_gone()


@pytest.mark.parametrize("refusal", [b"", b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno"])
async def test_a_server_that_slams_the_door_on_a_large_request_ends_it(refusal):
    """Whether the refusal or the reset is seen first is the network's choice."""

    async def talk(peer: Peer) -> None:
        await peer.reader.readuntil(b"\r\n\r\n")
        await peer.say(refusal)
        peer.writer.transport.abort()

    async with serving(talk) as server, client_of(server) as client:
        with suppress(BrokenOffError):
            assert await ask(client, bytes(LARGE)) == (413, b"no")
        await server.all_gone()
        assert not client._kept


async def test_a_server_that_takes_nothing_of_a_large_request_is_given_up():
    stay = asyncio.Event()

    async def talk(peer: Peer) -> None:
        await peer.reader.readuntil(b"\r\n\r\n")
        await stay.wait()

    async with serving(talk) as server, client_of(server, head_s=0.1) as client:
        with pytest.raises(BrokenOffError, match="silence"):
            await ask(client, bytes(LARGE))
        stay.set()
        await server.all_gone()
