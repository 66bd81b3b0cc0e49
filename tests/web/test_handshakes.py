"""Callers over TLS who never finish a handshake take no more than their places, and give them back."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from tests.web.fakes import House, build
from tests.web.raw import Listening, listening
from tests.web.test_tls import ask, trusting, write_pair

from macroslow.web import handshakes
from macroslow.web.connection import Bounds
from macroslow.web.tls import Files, ServerTLS

PLACES = 40
SILENT = 1000
BATCH = 240  # of those who find no place: all of them at once would be more files than some machines allow
HELLO = bytes.fromhex("1603010200010001fc0303")  # how a handshake begins (RFC 8446 section 5.1)


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return write_pair(tmp_path, "localhost")


@pytest.fixture
async def house() -> House:
    return await build()


@pytest.fixture
async def listener(house: House, files: Files) -> AsyncIterator[Listening]:
    listener = await listening(house.gate, Bounds(connections=PLACES), house.gate.refused, ServerTLS(files))
    before = len(asyncio.all_tasks())
    yield listener
    await until(lambda: not taken(listener))
    await until(lambda: len(asyncio.all_tasks()) <= before)
    await listener.close(0)


async def until(done: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not done():
            await asyncio.sleep(0.01)


def taken(listener: Listening) -> int:
    """Places that are taken."""
    return len(listener._served.crowd._places)


def connect(listener: Listening, said: bytes = b"") -> socket.socket:
    one = socket.create_connection(("127.0.0.1", listener.port))
    one.setblocking(False)
    if said:
        one.send(said)
    return one


def is_cut_off(one: socket.socket) -> bool:
    try:
        return one.recv(1) == b""
    except BlockingIOError:
        return False
    except ConnectionError:
        return True


@pytest.mark.parametrize("said", [b"", HELLO], ids=["silent", "begun"])
async def test_a_thousand_who_shake_no_hands_take_their_places_and_no_more(
    said: bytes, house: House, listener: Listening, files: Files
) -> None:
    staying = [connect(listener, said) for _ in range(PLACES)]
    await until(lambda: taken(listener) == PLACES)
    for _ in range(0, SILENT - PLACES, BATCH):
        others = [connect(listener) for _ in range(BATCH)]
        await until(lambda others=others: all(map(is_cut_off, others)))  # type: ignore[misc]
        assert taken(listener) == PLACES
        for one in others:
            one.close()
    assert not any(map(is_cut_off, staying))
    with pytest.raises((ConnectionError, ssl.SSLError)):
        await ask(listener.port, trusting(files))
    for one in staying:
        one.close()
    await until(lambda: not taken(listener))
    assert (await ask(listener.port, trusting(files)))[0].startswith(b"HTTP/1.1 200 ")
    page = (await house.application.metrics.text(await house.application.figures())).decode()
    assert f'macroslow_refusals_total{{reason="overloaded"}} {SILENT - PLACES + 1}.0' in page


async def test_who_speaks_no_tls_gives_his_place_back(listener: Listening, files: Files) -> None:
    for _ in range(PLACES + 1):
        with connect(listener, b"GET / HTTP/1.1\r\n\r\n") as one:
            await until(lambda one=one: is_cut_off(one))  # type: ignore[misc]
    await until(lambda: not taken(listener))
    assert (await ask(listener.port, trusting(files)))[0].startswith(b"HTTP/1.1 200 ")


async def test_a_caller_counts_once_and_gives_his_place_back(house: House, files: Files) -> None:
    listener = await listening(house.gate, Bounds(connections=1), house.gate.refused, ServerTLS(files))
    for _ in range(3):
        assert (await ask(listener.port, trusting(files)))[0].startswith(b"HTTP/1.1 200 ")
        await until(lambda: not taken(listener))
    await listener.close(0)


async def test_a_handshake_has_its_time(house: House, files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handshakes, "HANDSHAKE_S", 0.1)
    listener = await listening(house.gate, Bounds(connections=2), house.gate.refused, ServerTLS(files))
    with connect(listener) as silent, connect(listener, HELLO) as begun:
        await until(lambda: is_cut_off(silent))
        await until(lambda: is_cut_off(begun))
    await until(lambda: not taken(listener))
    await listener.close(0)


async def test_the_end_waits_for_no_handshake(house: House, files: Files) -> None:
    listener = await listening(house.gate, Bounds(), house.gate.refused, ServerTLS(files))
    with connect(listener) as silent, connect(listener, HELLO) as begun:
        await until(lambda: taken(listener) == 2)
        async with asyncio.timeout(30):
            await listener.close(0)
        assert taken(listener) == 0
        with pytest.raises(ConnectionRefusedError):
            connect(listener)
        await until(lambda: is_cut_off(silent))
        await until(lambda: is_cut_off(begun))


async def test_a_handshake_that_had_not_begun_at_the_end_leaves_nothing(house: House, files: Files) -> None:
    listener = await listening(house.gate, Bounds(), house.gate.refused, ServerTLS(files))
    with connect(listener, HELLO) as one:
        while not taken(listener):  # the loop goes on by single steps: its handshake has not begun
            await asyncio.sleep(0)
        await listener.close(0)
        assert taken(listener) == 0
        await until(lambda: is_cut_off(one))


async def test_who_may_not_connect_at_all_costs_no_handshake(house: House, files: Files) -> None:
    bounds = Bounds(networks=("192.0.2.0/24",))
    listener = await listening(house.gate, bounds, house.gate.refused, ServerTLS(files))
    with connect(listener, HELLO) as one:
        await until(lambda: is_cut_off(one))
    await listener.close(0)
    page = (await house.application.metrics.text(await house.application.figures())).decode()
    assert 'macroslow_refusals_total{reason="address-refused"} 1.0' in page
