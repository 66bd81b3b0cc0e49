"""Readers that do not read: what they cost, what holds for them, and that they miss nothing later."""

import asyncio
import json
import re
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPResponse, IncompleteRead
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from tests.e2e.conftest import Site, make_site, wait_until
from tests.e2e.troubled import memory_bytes

MIB = 1024 * 1024
STREAMS = 1_000  # as many as one gateway lets in
READ_ON = 4
MOST_MEMORY_BYTES = 300 * MIB
FEW = 12
LONG_S = 120  # nothing here is measured in seconds: a busy machine may take them
SETTINGS = "\n[upstream]\ndeadline_s = {deadline_s}\n"
BODY = json.dumps(
    {
        "model": "gpt-4o-mini",
        "max_tokens": 600,
        "messages": [{"role": "user", "content": "Go on and on"}],
        "stream": True,
    }
).encode()


def event(**members: object) -> bytes:
    chunk = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o-mini"}
    return b"data: " + json.dumps({**chunk, **members}).encode() + b"\n\n"


def written(text: str, finish_reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": finish_reason}
    return event(choices=[choice])


USED = event(choices=[], usage={"prompt_tokens": 9, "completion_tokens": 500, "total_tokens": 509})
DONE = b"data: [DONE]\n\n"
EVENTS = [written(f"{number} ") for number in range(16_000)] + [written("", "stop")]
SHOWN = b"".join(EVENTS) + DONE  # the usage is for the gateway, which asked for it
STREAM = b"".join(b"%x\r\n%b\r\n" % (len(each), each) for each in (*EVENTS, USED, DONE)) + b"0\r\n\r\n"
PIECE_BYTES = 16 * 1024
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)


class Pouring(asyncio.Protocol):
    """One connection of a provider that answers as fast as it is let."""

    def __init__(self, provider: "Provider") -> None:
        self.provider = provider
        self.asked = b""
        self.sent_bytes = 0
        self.held = False
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]
        # So that what it cannot send waits here, where it is seen, and not in its kernel.
        sock = transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, PIECE_BYTES)
        self.provider.connected.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.provider.connected.discard(self)

    def data_received(self, data: bytes) -> None:
        self.asked += data
        head, end, body = self.asked.partition(b"\r\n\r\n")
        if end and len(body) == int(LENGTH.findall(head)[0]):
            self.asked = b""
            self.sent_bytes = 0
            self.transport.write(HEAD)
            self.pour()

    def pour(self) -> None:
        while not self.held and self.sent_bytes < len(STREAM):
            piece = STREAM[self.sent_bytes : self.sent_bytes + PIECE_BYTES]
            self.sent_bytes += len(piece)
            self.transport.write(piece)

    def pause_writing(self) -> None:
        self.held = True

    def resume_writing(self) -> None:
        self.held = False
        self.pour()


class Provider:
    """Its address, and the connections that are open to it."""

    def __init__(self) -> None:
        self.url = ""
        self.connected: set[Pouring] = set()

    def held(self) -> Counter[int]:
        """How many wait for their readers, by what they have sent; they are the provider's thread's."""
        return Counter(each.sent_bytes for each in self.connected.copy() if each.held)


@contextmanager
def pouring() -> Iterator[Provider]:
    """Serve from a thread until the context is left."""
    provider = Provider()
    loop = asyncio.new_event_loop()
    server = loop.run_until_complete(
        loop.create_server(lambda: Pouring(provider), "127.0.0.1", 0, backlog=2 * STREAMS)
    )
    provider.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    async def end() -> None:
        server.close()
        for each in provider.connected.copy():
            each.transport.abort()
        await asyncio.sleep(0)

    try:
        yield provider
    finally:
        asyncio.run_coroutine_threadsafe(end(), loop).result(30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@contextmanager
def gateway(
    folder: Path, provider: Provider, environment: dict[str, str], deadline_s: float
) -> Iterator[Site]:
    site = make_site(folder, provider.url, environment, SETTINGS.format(deadline_s=deadline_s))
    site.start()
    yield site
    assert site.stop() == 0


def open_streams(site: Site, key: str, count: int) -> list[socket.socket]:
    """Ask for so many streams and read the first bytes of each, to see that it streams."""
    place = urlsplit(site.url)
    request = (
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\nx-api-key: %b\r\n"
        b"content-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (key.encode(), len(BODY), BODY)
    )
    readers = []
    for _ in range(count):
        reader = socket.socket()
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)  # so that little waits on the way
        reader.settimeout(60)
        reader.connect((place.hostname, place.port))
        reader.sendall(request)
        readers.append(reader)
    for reader in readers:
        assert reader.recv(15, socket.MSG_PEEK | socket.MSG_WAITALL) == b"HTTP/1.1 200 OK"
    return readers


def stand_still(provider: Provider, count: int) -> None:
    """Wait until the provider has been held on all streams for as long as it takes to look twice."""
    seen: list[Counter[int]] = [Counter()]

    def still() -> bool:
        seen.append(provider.held())
        return seen[-1] == seen[-min(25, len(seen))] and seen[-1].total() == count

    wait_until(still, LONG_S)


def read_on(reader: socket.socket) -> bytes:
    with HTTPResponse(reader) as answer:
        answer.begin()
        return answer.read()


def held_usd_micros(site: Site) -> int:
    return sum(key["held_usd_micros"] for key in site.ask("keys.list")["keys"])


def outcomes(site: Site) -> Counter[str]:
    return Counter(call["outcome"] for call in site.told("chat-completed") + site.told("chat-unknown"))


@pytest.mark.sweep
@pytest.mark.timeout(3 * LONG_S)
def test_a_thousand_streams_that_nobody_reads_cost_little_and_who_reads_on_misses_nothing(
    tmp_path, clean_environment
):
    with (
        pouring() as provider,
        gateway(tmp_path / "site", provider, clean_environment, deadline_s=600) as site,
    ):
        readers = open_streams(site, site.client("slow"), STREAMS)
        stand_still(provider, STREAMS)
        assert max(provider.held()) < len(STREAM) / 2, "it is the reader that the provider waits for"
        assert memory_bytes(site.server.pid) < MOST_MEMORY_BYTES
        for reader in readers[:READ_ON]:
            assert read_on(reader) == SHOWN
        for reader in readers:
            reader.close()
        wait_until(lambda: held_usd_micros(site) == 0, LONG_S)
        wait_until(lambda: not provider.held(), LONG_S)
        assert outcomes(site) == {"ok": READ_ON, "aborted": STREAMS - READ_ON}
        assert "ERROR" not in site.said


@pytest.mark.sweep
@pytest.mark.timeout(3 * LONG_S)
def test_the_deadline_frees_the_provider_of_readers_that_do_not_read(tmp_path, clean_environment):
    with pouring() as provider, gateway(tmp_path / "site", provider, clean_environment, deadline_s=5) as site:
        readers = open_streams(site, site.client("slow"), FEW)
        assert held_usd_micros(site) > 0
        wait_until(lambda: not provider.connected, LONG_S)
        for reader in readers[::2]:
            with pytest.raises(IncompleteRead) as caught:
                read_on(reader)
            assert SHOWN.startswith(caught.value.partial)
        for reader in readers:
            reader.close()
        wait_until(lambda: held_usd_micros(site) == 0, LONG_S)
        assert outcomes(site) == {"unknown": FEW / 2, "aborted": FEW / 2}
