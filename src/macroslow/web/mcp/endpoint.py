"""`/mcp`: the SDK's Streamable HTTP transport behind the gate, in both eras, without sessions.

The SDK is imported at the first request: that import takes longer than the rest of the start, and
many gateways never see an MCP client. The gate has authenticated the request by then, capped and
read its body, checked Host and Origin, and left `principal`, `request_id` and `body` in `scope["state"]`; the
message is left there for the transport, None where no message came, and its id for the gate.

A message is read here before the SDK reads it, strictly: what is decided is decided on the body, whatever the
headers say of it, and the SDK refuses headers that say something else. Who calls one of our tools without its
scope is told which scope that is (step-up; MCP 2026-07-28, "Scope Challenge Handling").

The answer to a call of a tool whose receipt was asked for is logged by the digest of its exact bytes, before
its end leaves. Other messages do nothing that a receipt could prove: they are answered as if none was asked
for.
Calls that cost nothing make the log grow too, so receipts over MCP have a rate of their own.
"""

import asyncio
import hashlib
import re
from collections.abc import Awaitable, Callable, Iterator, MutableMapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

from macroslow.authn.principal import Principal
from macroslow.authz.decision import require_scope
from macroslow.errors import OverloadedError
from macroslow.limits.admission import per_minute
from macroslow.limits.tallies import Tallies
from macroslow.ports import Clock
from macroslow.services.audit.record_mcp_call import MCPCall
from macroslow.web.mcp.message import CALL, RPCMessage, read_message
from macroslow.web.mcp.transport import Serves, Sessionless
from macroslow.web.messages import Receive, Scope, Send
from macroslow.web.receipt_header import HEADER as RECEIPT_HEADER
from macroslow.web.receipt_header import asks_for_receipt
from macroslow.web.receipted import answer_receipted
from macroslow.web.visit import log, what_failed

if TYPE_CHECKING:
    from mcp.server.lowlevel import Server

    from macroslow.mcp.server import ComposedServer
    from macroslow.mcp.source import Caller, Context, Source

Sources = Callable[[], "Sequence[Source]"]
"""Opens the sources of what is offered, at the first request: they need the SDK. It may be called again."""
Transport = Callable[["Server[Any]", int], Serves]
"""Serves a server over Streamable HTTP, bodies of at most so many bytes. Called with the SDK in place."""
Record = Callable[[Principal, MCPCall], Awaitable[None]]

NAME: Final = "macroslow"
RECEIPTS: Final = per_minute("receipts over MCP", 60)
MAX_PRINCIPALS: Final = 10_000
NO_NAME: Final = "(not a name)"  # in the log, of a tool that a client called by any other text
_BY_LINE: ContextVar[tuple[Principal, str]] = ContextVar("who sent the line that is being served")
_NAME: Final = re.compile(r"[!-~]{1,100}")


class MCPEndpoint:
    """An ASGI application for POST /mcp. `close` ends what is under way."""

    def __init__(
        self,
        sources: Sources,
        record: Record,
        clock: Clock,
        *,
        version: str,
        max_body_bytes: int,
        transport: Transport = Sessionless,
    ) -> None:
        self._sources = sources
        self._record = record
        self._receipts = Tallies(clock, MAX_PRINCIPALS)
        self._version = version
        self._max_body_bytes = max_body_bytes
        self._transport = transport
        self._server: ComposedServer | None = None
        self._manager: asyncio.Future[Serves]
        self._task: asyncio.Task[None] | None = None
        self._stop = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request. A start that failed is tried again by the next.

        BadRequestError for what is no message, MissingScopeError for a tool of ours that its caller may not
        call, OverloadedError once closed.
        """
        state = scope["state"]
        receipted = asks_for_receipt([value for name, value in scope["headers"] if name == RECEIPT_HEADER])
        manager = await self._started()
        message = state["message"] = self._read(state) if scope["method"] == "POST" else None
        if message is None or message.tool is None:
            await manager.handle_request(scope, receive, send)
            return
        self._require_scope(state["principal"], message.tool)
        if receipted:
            await self._receipted(manager, scope, receive, send)
        else:
            await manager.handle_request(scope, receive, send)

    async def server(self) -> "Server[Any]":
        """Another server over the same sources, for a transport of its own. OverloadedError once closed."""
        await self._started()
        assert self._server is not None  # noqa: S101 (it was built for the manager)
        return self._server.build(NAME, self._version)

    async def _started(self) -> Serves:
        if self._stop.is_set():
            raise OverloadedError("the gateway is shutting down")
        if self._task is None or self._task.done():
            self._manager = asyncio.get_running_loop().create_future()
            self._task = asyncio.create_task(self._serve(self._manager))
        return await asyncio.shield(self._manager)

    def _read(self, state: MutableMapping[str, Any]) -> RPCMessage:
        """The message of a request; a refusal from here on says whose it is."""
        message: RPCMessage = read_message(state["body"])
        state["message_id"] = message.id
        return message

    def _require_scope(self, principal: Principal, tool: str) -> None:
        assert self._server is not None  # noqa: S101 (it was built for the manager)
        scope = self._server.scope_of(tool)
        if scope is not None:
            require_scope(principal, scope)

    async def _receipted(self, manager: Serves, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one call of a tool and log its digests.

        RateLimitedError if it is one too many; LogUnavailableError, and no answer, if it cannot be logged.
        """
        state = scope["state"]
        principal, request_id, body = state["principal"], state["request_id"], state["body"]
        self._receipts.admit(
            principal.name, RECEIPTS, principal.name, "call without x-macroslow-receipt, or less often"
        )
        tool = _named(state["message"])
        request_sha256 = hashlib.sha256(body).hexdigest()

        async def record(answer_sha256: str, status: int) -> None:
            call = MCPCall(request_id, CALL, tool, request_sha256, answer_sha256, status)
            await self._record(principal, call)

        await answer_receipted(manager.handle_request, scope, receive, send, record)

    async def close(self) -> None:
        """End the transport. What is under way ends with the server that reads the requests."""
        self._stop.set()
        if self._server is not None:
            self._server.close()
        if self._task is not None:
            await asyncio.wait({self._task})

    async def _serve(self, ready: asyncio.Future[Serves]) -> None:
        # One task enters and leaves the manager, as its task group requires.
        try:
            manager = await asyncio.to_thread(self._build)
            async with manager.run():
                ready.set_result(manager)
                await self._stop.wait()
        except Exception as error:
            if ready.done():
                raise
            ready.set_exception(error)  # for those who wait
        finally:
            ready.cancel()

    def _build(self) -> Serves:
        from macroslow.mcp.server import ComposedServer

        self._server = ComposedServer(self._sources(), _caller_of, _report)
        return self._transport(self._server.build(NAME, self._version), self._max_body_bytes)


@contextmanager
def by_line(principal: Principal | None, request_id: str) -> Iterator[None]:
    """Whatever is served within came from `principal`, by no request of HTTP."""
    assert principal is not None  # noqa: S101 (the gate has let him in)
    token = _BY_LINE.set((principal, request_id))
    try:
        yield
    finally:
        _BY_LINE.reset(token)


def _report(method: str, error: Exception) -> None:
    log.error("%s failed: %s", method, what_failed(error))


def _named(message: RPCMessage) -> str:
    """The tool that is called, as the log may name it; "": the call names none."""
    name = message.params.get("name")
    if not isinstance(name, str):
        return ""
    return name if _NAME.fullmatch(name) else NO_NAME


def _caller_of(context: "Context") -> "Caller":
    from macroslow.mcp.source import Caller

    if context.request is None:  # a line, and no request of HTTP
        principal, request_id = _BY_LINE.get()
        return Caller(principal, request_id, context)
    state = context.request.scope["state"]  # the gate put it there
    return Caller(state["principal"], state["request_id"], context)
