"""Servers that say just what they are told to, byte for byte."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

from macroslow.outbound.client import Client
from macroslow.outbound.exchange import Patience

HEAD = b"POST /v1/x HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

Talk = Callable[["Peer"], Awaitable[None]]


class Peer:
    """The server's end of one connection."""

    def __init__(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.number = number  # the first connection is 0
        self.reader = reader
        self.writer = writer

    async def request(self) -> bytes:
        """Read one whole request; its body."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = next(
            (line[15:] for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), b"0"
        )
        return await self.reader.readexactly(int(length))

    async def say(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def until_gone(self) -> None:
        """Wait until the other side has closed; what it sends is thrown away."""
        with suppress(ConnectionError):
            while await self.reader.read(65536):
                pass


class Server:
    """Counts its connections and knows when each was left."""

    def __init__(self) -> None:
        self.port = 0
        self.connections = 0
        self.errors: list[BaseException] = []
        self.idle = asyncio.Event()
        self.idle.set()
        self._open: set[asyncio.Task[None]] = set()

    async def run(self, talk: Talk, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        self.idle.clear()
        peer = Peer(self.connections, reader, writer)
        self.connections += 1
        try:
            await talk(peer)
        except (ConnectionError, asyncio.IncompleteReadError, RuntimeError):
            pass  # the client left (uvloop has a RuntimeError for a handler that is closed)
        except Exception as error:
            self.errors.append(error)
        finally:
            writer.close()
            self._open.discard(task)
            if not self._open:
                self.idle.set()

    async def all_gone(self) -> None:
        """Wait until every connection is over."""
        await asyncio.wait_for(self.idle.wait(), 10)

    async def stop(self) -> None:
        for task in set(self._open):
            task.cancel()
        if self._open:
            await asyncio.wait(set(self._open))
        assert not self.errors


@asynccontextmanager
async def serving(talk: Talk, trust: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
    """A server on the loopback; each of its connections is a `talk`."""
    counted = Server()
    server = await asyncio.start_server(
        lambda reader, writer: counted.run(talk, reader, writer), "127.0.0.1", 0, ssl=trust, backlog=1024
    )
    counted.port = server.sockets[0].getsockname()[1]
    try:
        yield counted
    finally:
        server.close()
        await counted.stop()
        await asyncio.sleep(0)


def saying(*pieces: bytes, stay: bool = False) -> Talk:
    """Read a request, say these pieces one by one, and hang up (or stay)."""

    async def talk(peer: Peer) -> None:
        await peer.request()
        for piece in pieces:
            await peer.say(piece)
            await asyncio.sleep(0)
        if stay:
            await peer.until_gone()

    return talk


@asynccontextmanager
async def client_of(server: Server, **patience: float) -> AsyncIterator[Client]:
    """A client of `server`."""
    client = Client("127.0.0.1", server.port, tls=False, patience=Patience(**patience))
    try:
        yield client
    finally:
        client.close()
        await asyncio.sleep(0)


async def ask(client: Client, body: bytes = b"{}", *, deadline_s: float = 10) -> tuple[int, bytes]:
    """One exchange: its status and its body."""
    exchange = await client.send(HEAD % len(body), body, deadline_s)
    try:
        got = await exchange.body(1 << 30)
        assert got is not None
        return exchange.status, got
    finally:
        exchange.end()
