"""MCP over the lines of a connection, in both eras: what `serve --stdio` carries to a running gateway.

Each request passes the gate like one over HTTP: who, how often, may it, is new work taken; it is counted, and
ends when its credential does. What is read strictly there is read strictly here. The answers that are under
way when the client has said its last line are waited for, up to a bound; streams that listen are not.

Source: MCP 2026-07-28, "stdio" (messages are lines, and have no line breaks within).
"""

import asyncio
import select
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import orjson

from macroslow.authn.principal import Principal
from macroslow.authn.refusal import Refusal, bad_credential
from macroslow.authz.scopes import MCP_CONNECT, administrates
from macroslow.errors import BadRequestError, MacroslowError, OverloadedError, TooLargeError
from macroslow.services.identity.authenticate import Authenticate, Credentials
from macroslow.web.gate import Gate
from macroslow.web.mcp.endpoint import MCPEndpoint, by_line
from macroslow.web.mcp.message import RPCMessage, read_message
from macroslow.web.problems import json_rpc_error
from macroslow.web.routes import MCP_BYTES

if TYPE_CHECKING:
    from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
    from mcp.server.context import CallNext, HandlerResult
    from mcp.server.lowlevel import Server
    from mcp.shared.message import SessionMessage

    from macroslow.mcp.source import Context

MAX_UNDER_WAY: Final = 128  # requests of one conversation
LOOPBACK: Final = "127.0.0.1"  # whence a key comes that is used on this machine
LOOK_EVERY_S: Final = 0.2
LISTEN: Final = "subscriptions/listen"
VERSION: Final = "io.modelcontextprotocol/protocolVersion"
NOT_BEGUN: Final = f"no version yet: begin with initialize, or send _meta {VERSION}"
Who = Callable[[], Awaitable[Principal]]


class Conversations:
    """Begins conversations. Without a key they are those of `local`; `grace_s` is the bound at their end."""

    def __init__(
        self, endpoint: MCPEndpoint, gate: Gate, authenticate: Authenticate, local: Principal, grace_s: float
    ) -> None:
        self._endpoint = endpoint
        self._gate = gate
        self._authenticate = authenticate
        self._local = local
        self._grace_s = grace_s

    async def __call__(
        self, arguments: Mapping[str, object], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Hold one, from its arguments (`key`, or none) to its end. CredentialError for a bad key."""
        match arguments:
            case {"key": str(key)}:
                who = self._holder_of(key.encode("utf-8", "replace"))
            case {"key": None}:
                who = self._nobody_else
            case _:
                raise BadRequestError("a conversation begins with its key, or null")
        async with self._gate.message(who, MCP_CONNECT) as visit:
            begun = {"result": {"principal": visit.principal.name if visit.principal else ""}}
        server = await self._endpoint.server()
        writer.write(orjson.dumps(begun) + b"\n")
        await _Conversation(self._gate, who, reader, writer, self._grace_s).hold(server)

    def _holder_of(self, key: bytes) -> Who:
        async def who() -> Principal:
            principal = await self._authenticate(Credentials(bearer=key, address=LOOPBACK))
            if any(administrates(each.scopes) for each in principal.credentials()):
                raise bad_credential(Refusal.ADMINISTRATIVE)
            return principal

        return who

    async def _nobody_else(self) -> Principal:
        return self._local


class _Conversation:
    """One client's."""

    def __init__(
        self,
        gate: Gate,
        who: Who,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        grace_s: float,
    ) -> None:
        self._gate = gate
        self._who = who
        self._reader = reader
        self._writer = writer
        self._grace_s = grace_s
        self._under_way: dict[str | int, str] = {}
        self._has_version = False
        self._settled = asyncio.Event()

    async def hold(self, server: "Server[Any]") -> None:
        """Serve until the client is done."""
        import anyio
        from mcp.server.runner import serve_dual_era_loop
        from mcp.shared.message import SessionMessage

        server.middleware.insert(0, self._admit)
        come, coming = anyio.create_memory_object_stream[SessionMessage | Exception](0)
        going, gone = anyio.create_memory_object_stream[SessionMessage](0)
        async with server.lifespan(server) as state, anyio.create_task_group() as tasks:
            tasks.start_soon(self._read, come)
            tasks.start_soon(self._write, gone)
            await serve_dual_era_loop(server, coming, going, lifespan_state=state)
            tasks.cancel_scope.cancel()

    async def _admit(self, ctx: "Context", call_next: "CallNext") -> "HandlerResult":
        """Let one request pass the gate, then serve it."""
        from mcp.shared.exceptions import MCPError
        from mcp_types import INVALID_PARAMS

        from macroslow.mcp.refusals import refused_request

        if ctx.request_id is None:
            return await call_next(ctx)
        visit = None
        try:
            async with self._gate.message(self._who, MCP_CONNECT) as visit:
                with by_line(visit.principal, visit.request_id):
                    return await call_next(ctx)
        except MacroslowError as error:
            raise refused_request(error) from None
        except MCPError as error:
            if self._has_version or error.code != INVALID_PARAMS:
                raise
            raise MCPError(INVALID_PARAMS, NOT_BEGUN) from None
        except asyncio.CancelledError:
            if visit is None or not visit.was_ended() or not isinstance(visit.ended, MacroslowError):
                raise
            raise refused_request(visit.ended) from None

    async def _read(self, come: "MemoryObjectSendStream[SessionMessage | Exception]") -> None:
        from mcp.shared.message import SessionMessage
        from mcp_types import jsonrpc_message_adapter

        async with come:
            async for line in _lines(self._reader):
                try:
                    message = self._check(line)
                    found = jsonrpc_message_adapter.validate_json(line, by_name=False)
                except MacroslowError as error:
                    await self._refuse(error, None)
                except ValueError:  # pydantic's: it is no message of JSON-RPC's
                    await self._refuse(BadRequestError("no message of JSON-RPC 2.0", step="message"), None)
                else:
                    if await self._takes(message):
                        await come.send(SessionMessage(found))
            await self._settle()

    def _check(self, line: bytes) -> RPCMessage:
        if len(line) > MCP_BYTES:
            told = f"a message has at most {MCP_BYTES} bytes"
            raise TooLargeError(told, limit_bytes=MCP_BYTES, step="size")
        return read_message(line)

    async def _takes(self, message: RPCMessage) -> bool:
        """Whether it goes on; note it if an answer is due."""
        if message.method == "notifications/cancelled":
            self._forget(message.params.get("requestId"))
        if message.id is None or not message.method:
            return True
        meta = message.params.get("_meta")
        if message.method == "initialize" or (isinstance(meta, Mapping) and VERSION in meta):
            self._has_version = True
        if message.id in self._under_way:
            await self._refuse(BadRequestError("a request with this id is under way", step="message"), None)
            return False
        if len(self._under_way) >= MAX_UNDER_WAY:
            await self._refuse(OverloadedError(f"{MAX_UNDER_WAY} requests are under way"), message.id)
            return False
        self._under_way[message.id] = message.method
        return True

    async def _write(self, gone: "MemoryObjectReceiveStream[SessionMessage]") -> None:
        async for going in gone:
            told = going.message.model_dump(mode="json", by_alias=True, exclude_unset=True)
            if "method" not in told:
                self._forget(told.get("id"))
            await self._say(orjson.dumps(told))

    async def _refuse(self, error: MacroslowError, message_id: str | int | None) -> None:
        await self._say(json_rpc_error(error, message_id))

    async def _say(self, line: bytes) -> None:
        with suppress(ConnectionError):  # who went away is seen where lines are read
            self._writer.write(line + b"\n")
            await self._writer.drain()

    def _forget(self, message_id: object) -> None:
        if isinstance(message_id, str | int):
            self._under_way.pop(message_id, None)
        self._settled.set()

    async def _settle(self) -> None:
        """Wait for the answers that are due while somebody waits for them, but for no stream that listens."""
        ends_s = asyncio.get_running_loop().time() + self._grace_s
        while any(method != LISTEN for method in self._under_way.values()):
            if self._hung_up() or asyncio.get_running_loop().time() >= ends_s:
                return
            self._settled.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_EVERY_S):
                    await self._settled.wait()

    def _hung_up(self) -> bool:
        """Whether the client is gone altogether, and has not only said its last."""
        poll = select.poll()
        poll.register(self._writer.get_extra_info("socket"), 0)
        return any(event & select.POLLHUP for _, event in poll.poll(0))


async def _lines(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    """The lines that come; of one that does not fit into memory, the beginning."""
    while True:
        try:
            line = await _line(reader)
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        if line.strip():
            yield line


async def _line(reader: asyncio.StreamReader) -> bytes:
    beginning = b""
    while True:
        try:
            rest = await reader.readuntil()
        except asyncio.LimitOverrunError as overrun:
            part = await reader.readexactly(overrun.consumed)
            beginning = beginning or part[: MCP_BYTES + 1]
        else:
            return beginning or rest
