"""Floods from outside: refusals by the thousand and connections that never finish cost next to nothing."""

import asyncio
import json
import time
from pathlib import Path

import pytest
from tests.e2e.conftest import Site

KIB, MIB = 1024, 1024 * 1024
FLOOD_S = 5.0
CALLERS = 8
LORISES = 50
SAID_BYTES = 2 * KIB  # a warning, and a summary per reason and minute
FLOOD = (
    b"POST /execute HTTP/1.1\r\nhost: 127.0.0.1\r\nx-api-key: msk_%d\r\n"
    b"content-type: text/markdown\r\ncontent-length: 0\r\n\r\n"
)


@pytest.fixture(scope="module")
def warm(site: Site) -> tuple[Site, str]:
    """A gateway that has served already, so that its memory has its usual size."""
    key = site.client("ada")
    assert site.chat(key).status == 200
    return site, key


def address(site: Site) -> tuple[str, int]:
    host, _, port = site.url.removeprefix("http://").partition(":")
    return host, int(port)


def resident_bytes(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) * KIB


def book_bytes(site: Site) -> int:
    """What the books occupy on disk, write-ahead log included."""
    return sum(path.stat().st_size for path in site.state.glob("books.sqlite*"))


async def flood(site: Site, number: int, until_s: float) -> int:
    """Send bad keys on one connection as fast as they are refused; return how many were."""
    reader, writer = await asyncio.open_connection(*address(site))
    refused = 0
    while time.monotonic() < until_s:
        writer.write(b"".join(FLOOD % (number * 10**6 + refused + at) for at in range(8)))
        for _ in range(8):
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.split()[1] in {b"401", b"429"}, head
            length = head.lower().partition(b"content-length: ")[2].split()[0]
            await reader.readexactly(int(length))
            refused += 1
    writer.close()
    await writer.wait_closed()
    return refused


async def floods(site: Site, key: str, length_s: float) -> int:
    """Flood from all callers at once; a good key from the same address is served meanwhile."""
    until_s = time.monotonic() + length_s
    flooding = asyncio.gather(*(flood(site, number, until_s) for number in range(CALLERS)))
    await asyncio.sleep(length_s / 2)
    assert not flooding.done()
    assert (await asyncio.to_thread(site.chat, key)).status == 200
    return sum(await flooding)


def test_a_flood_of_bad_keys_grows_neither_log_nor_memory_and_others_are_served(warm):
    site, key = warm
    asyncio.run(floods(site, key, 1.0))  # once, so that what grows to its size has grown
    resident, on_disk, entries = resident_bytes(site.server.pid), book_bytes(site), len(site.log())
    said = len(site.said)
    refused = asyncio.run(floods(site, key, FLOOD_S))
    assert refused > 500
    assert resident_bytes(site.server.pid) - resident < 20 * MIB
    assert len(json.dumps(site.log()[entries:])) < 10 * KIB
    assert len(site.said) - said < SAID_BYTES
    assert book_bytes(site) - on_disk < 100 * KIB, "the chat in between writes a few pages"


async def loris(site: Site, part: bytes) -> "tuple[asyncio.StreamReader, asyncio.StreamWriter]":
    """Begin a request and never end it."""
    reader, writer = await asyncio.open_connection(*address(site))
    writer.write(part)
    await writer.drain()
    return reader, writer


async def besieged(site: Site, key: str) -> None:
    head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\n"
    asking = head + b"x-api-key: " + key.encode() + b"\r\ncontent-type: application/json\r\n"
    parts = [
        b"P",
        head,
        asking + b"content-length: 100000\r\n\r\n{",
        asking + b"transfer-encoding: chunked\r\n\r\n1\r\n{",
    ]
    open_ = [await loris(site, parts[number % len(parts)]) for number in range(LORISES)]
    began_s = time.monotonic()
    for _ in range(5):
        answer = await asyncio.to_thread(site.chat, key)
        assert answer.status == 200
    assert time.monotonic() - began_s < 5
    # Those that have no complete head yet are sent away within their deadline.
    for number, (reader, _) in enumerate(open_):
        if number % len(parts) < 2:
            assert b" 408 " in (await asyncio.wait_for(reader.read(), 15)).split(b"\r\n")[0]
    for _, writer in open_:
        writer.close()
        await writer.wait_closed()


@pytest.mark.sweep
def test_connections_that_never_finish_do_not_stop_others_and_are_sent_away(warm):
    site, key = warm
    said = len(site.said)
    asyncio.run(asyncio.wait_for(besieged(site, key), 60))
    assert site.chat(key).status == 200
    assert len(site.said) - said < SAID_BYTES
    assert "Traceback" not in site.said
