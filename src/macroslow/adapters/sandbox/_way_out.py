"""A box's only way out: an HTTP proxy on a socket inside its network namespace, answered from here.

It connects to the hosts that the operator named and to nothing else: names are compared literally and
looked up here, once a connection; a name that leads into this machine's own network is refused. CONNECT makes
a tunnel; of a connection with a request in absolute form (http only) that one request is passed on, nothing
behind it, and the connection is then closed.

Source: RFC 9110, section 9.3.6 (CONNECT); RFC 9112, section 3.2.2.
"""

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Final

from macroslow.adapters.sandbox._proxy_request import Asked, body, read_head
from macroslow.workflow.box import Host

MAX_CONNECTIONS: Final = 32
_HEAD_BYTES: Final = 16 * 1024
_HEAD_S: Final = 10.0
_CONNECT_S: Final = 15.0
_IDLE_S: Final = 600.0
_CHUNK_BYTES: Final = 64 * 1024
_MOST_TOLD: Final = 50  # refused hosts of one box, each said once in the log
log: Final = logging.getLogger("macroslow.sandbox")


class _RefusedError(Exception):
    """What the program asked for is answered with a status and a sentence."""

    def __init__(self, status: str, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


@dataclass(slots=True, eq=False)
class WayOut:
    """The proxy of one box."""

    name: str  # the box's, for the log
    hosts: Sequence[Host]
    _told: set[str] = field(default_factory=set)
    _tasks: set["asyncio.Task[None]"] = field(default_factory=set)

    @contextlib.asynccontextmanager
    async def serve(self, listener: socket.socket) -> AsyncIterator[None]:
        """Answer on `listener` until the context is left; then every connection is cut."""
        server = await asyncio.start_server(self._accepted, sock=listener, limit=_HEAD_BYTES)
        try:
            yield
        finally:
            server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None or len(self._tasks) >= MAX_CONNECTIONS:
            writer.transport.abort()
            return
        self._tasks.add(task)
        try:
            await self._serve(reader, writer)
        except (OSError, EOFError, TimeoutError, asyncio.LimitOverrunError):
            pass  # the program, or its host, left or took too long
        finally:
            self._tasks.discard(task)
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_HEAD_S):
                head = await reader.readuntil(b"\r\n\r\n")
            asked = self._read(head)
            far_reader, far_writer = await self._connect(asked.host)
        except _RefusedError as refusal:
            sentence = f"{refusal}\n".encode()
            head_of_answer = (
                f"HTTP/1.1 {refusal.status}\r\nContent-Type: text/plain\r\n"
                f"Content-Length: {len(sentence)}\r\nConnection: close\r\n\r\n"
            )
            writer.write(head_of_answer.encode() + sentence)
            writer.close()
            await writer.wait_closed()
            return
        try:
            (writer if asked.tunnel else far_writer).write(
                b"HTTP/1.1 200 Connection established\r\n\r\n" if asked.tunnel else asked.first
            )
            await _join((reader, writer), (far_reader, far_writer), asked)
        finally:
            far_writer.transport.abort()

    def _read(self, head: bytes) -> Asked:
        try:
            asked = read_head(head)
        except ValueError as error:
            raise _RefusedError("400 Bad Request", str(error)) from None
        if asked.host not in self.hosts:
            self._tell(f"{asked.host.name}:{asked.host.port}", "is not among its hosts")
            raise _RefusedError("403 Forbidden", "the operator has not named this host and port")
        return asked

    def _tell(self, host: str, why: str) -> None:
        if host not in self._told and len(self._told) < _MOST_TOLD:
            self._told.add(host)
            log.warning("box %s wanted to connect to %s, which %s", self.name, host, why)

    async def _connect(self, host: Host) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect to the first address of `host` that it may be at and that answers."""
        try:
            async with asyncio.timeout(_CONNECT_S):
                for address in await self._addresses(host):
                    with contextlib.suppress(OSError):
                        return await asyncio.open_connection(address, host.port)
        except (OSError, TimeoutError):
            pass
        raise _RefusedError("502 Bad Gateway", "the host could not be reached")

    async def _addresses(self, host: Host) -> list[str]:
        if host.address is not None:
            return [str(host.address)]
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host.name, host.port, type=socket.SOCK_STREAM)
        addresses = list(dict.fromkeys(str(address[0]) for *_, address in found))
        allowed = [address for address in addresses if host.may_be_at(ip_address(address))]
        if not allowed:
            self._tell(f"{host.name}:{host.port}", "has no public address")
            raise _RefusedError("403 Forbidden", "this name leads into a private network")
        return allowed


_Side = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def _join(near: _Side, far: _Side, asked: Asked) -> None:
    """Carry bytes both ways until both sides have ended, or neither has said anything for long."""
    reader = near[0]
    forth = _all_of(reader) if asked.tunnel else _one_request(reader, asked)
    async with asyncio.timeout(_IDLE_S) as idle, asyncio.TaskGroup() as both:
        both.create_task(_carry(forth, far[1], idle))
        both.create_task(_carry(_all_of(far[0]), near[1], idle))


async def _carry(pieces: AsyncIterator[bytes], writer: asyncio.StreamWriter, idle: asyncio.Timeout) -> None:
    loop = asyncio.get_running_loop()
    with contextlib.suppress(OSError):
        async for piece in pieces:
            idle.reschedule(loop.time() + _IDLE_S)
            writer.write(piece)
            await writer.drain()
        writer.write_eof()


async def _all_of(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    while piece := await reader.read(_CHUNK_BYTES):
        yield piece


async def _one_request(reader: asyncio.StreamReader, asked: Asked) -> AsyncIterator[bytes]:
    """Its body; the end comes when the program hangs up, or says what is none."""
    with contextlib.suppress(EOFError, ValueError, asyncio.LimitOverrunError):
        async for piece in body(reader, asked.body_bytes):
            yield piece
        while await reader.read(_CHUNK_BYTES):
            pass  # nobody's: it is not passed on
