"""A box's only way out: an HTTP proxy on a socket inside its network namespace, answered from here.

It connects to the hosts that the operator named and to nothing else: names are compared literally and
looked up here, once a connection; a name that leads into this machine's own network is refused. CONNECT makes
a tunnel; a request in absolute form (http only) is passed on alone, and its connection then closed.

Source: RFC 9110, section 9.3.6 (CONNECT); RFC 9112, sections 3.2.2 and 3.2.3; RFC 9110, section 7.6.1.
"""

import asyncio
import contextlib
import logging
import re
import socket
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Final

from macroslow.workflow.box import Host, read_host

MAX_CONNECTIONS: Final = 32
_HEAD_BYTES: Final = 16 * 1024
_HEAD_S: Final = 10.0
_CONNECT_S: Final = 15.0
_IDLE_S: Final = 600.0
_CHUNK_BYTES: Final = 64 * 1024
_MOST_TOLD: Final = 50  # refused hosts of one box, each said once in the log
_TUNNEL: Final = re.compile(rb"CONNECT ([!-~]{1,300}) HTTP/1\.[01]")
_PLAIN: Final = re.compile(rb"([A-Z]{1,20}) http://([^/?#@ ]{1,300})([/?][!-~]*)? HTTP/1\.[01]")
_FIELD: Final = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\r\n\0]*)")
_HOP_BY_HOP: Final = frozenset(
    {b"connection", b"proxy-connection", b"keep-alive", b"proxy-authorization", b"te", b"upgrade", b"host"}
)
log: Final = logging.getLogger("macroslow.mcp")


class _RefusedError(Exception):
    """What the program asked for is answered with a status and a sentence."""

    def __init__(self, status: str, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


@dataclass(frozen=True, slots=True)
class Asked:
    """A host that the program wants to speak with, and what is to be sent to it first."""

    host: Host
    first: bytes
    tunnel: bool


def read_head(head: bytes) -> Asked:
    """Read a proxy request up to its empty line. ValueError for what is none, or names no host."""
    line, *fields = head.removesuffix(b"\r\n\r\n").split(b"\r\n")
    if tunnel := _TUNNEL.fullmatch(line):
        return Asked(read_host(tunnel[1].decode()), b"", tunnel=True)
    plain = _PLAIN.fullmatch(line)
    if plain is None:
        raise ValueError("the proxy takes CONNECT, and http:// URLs")
    method, authority, path = plain.groups()
    has_port = re.search(rb":[0-9]+\Z", authority) is not None
    host = read_host((authority if has_port else authority + b":80").decode("ascii"))
    kept = []
    for text in fields:
        found = _FIELD.fullmatch(text)
        if found is None:
            raise ValueError("a header field that is none")
        if found[1].lower() not in _HOP_BY_HOP:
            kept.append(text)
    target = path if path and path.startswith(b"/") else b"/" + (path or b"")
    lines = [
        b"%s %s HTTP/1.1" % (method, target),
        b"Host: " + authority,
        *kept,
        b"Connection: close",
        b"",
        b"",
    ]
    return Asked(host, b"\r\n".join(lines), tunnel=False)


@dataclass(slots=True, eq=False)
class WayOut:
    """The proxy of one box. `sent_bytes` and `received_bytes` are the program's, all connections together."""

    name: str  # the box's, for the log
    hosts: Sequence[Host]
    sent_bytes: int = 0
    received_bytes: int = 0
    refused: int = 0
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
            await self._join(reader, writer, far_reader, far_writer)
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
        self.refused += 1
        if host not in self._told and len(self._told) < _MOST_TOLD:
            self._told.add(host)
            log.warning("MCP server %s wanted to connect to %s, which %s", self.name, host, why)

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

    async def _join(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        far_reader: asyncio.StreamReader,
        far_writer: asyncio.StreamWriter,
    ) -> None:
        """Carry bytes both ways until both sides have ended, or neither has said anything for long."""
        async with asyncio.timeout(_IDLE_S) as idle, asyncio.TaskGroup() as both:
            both.create_task(self._carry(reader, far_writer, idle, sent=True))
            both.create_task(self._carry(far_reader, writer, idle, sent=False))

    async def _carry(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, idle: asyncio.Timeout, *, sent: bool
    ) -> None:
        loop = asyncio.get_running_loop()
        with contextlib.suppress(OSError):
            while chunk := await reader.read(_CHUNK_BYTES):
                idle.reschedule(loop.time() + _IDLE_S)
                if sent:
                    self.sent_bytes += len(chunk)
                else:
                    self.received_bytes += len(chunk)
                writer.write(chunk)
                await writer.drain()
            writer.write_eof()
