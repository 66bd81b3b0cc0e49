"""`/mcp`: the SDK's Streamable HTTP transport behind the gate, in both eras, without sessions.

The SDK is imported at the first request: that import takes longer than the rest of the start, and
many gateways never see an MCP client. The gate has authenticated the request by then, capped and
read its body, checked Host and Origin, and left the principal in `scope["state"]["principal"]`.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any

from macroslow.authn.principal import Principal
from macroslow.errors import MacroslowError, OverloadedError
from macroslow.web.problems import InternalError
from macroslow.web.visit import log, what_failed

if TYPE_CHECKING:
    from mcp.server.context import ServerRequestContext
    from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Handler = Callable[[Principal, Mapping[str, object]], Awaitable[Mapping[str, object]]]


class MCPEndpoint:
    """An ASGI application for POST /mcp. `close` ends what is under way."""

    def __init__(self, handlers: Mapping[str, Handler], *, version: str, max_body_bytes: int) -> None:
        self._handlers = {name: _guarded(name, handler) for name, handler in handlers.items()}
        self._version = version
        self._max_body_bytes = max_body_bytes
        self._manager: asyncio.Future[StreamableHTTPSessionManager]
        self._task: asyncio.Task[None] | None = None
        self._stop = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request. A start that failed is tried again by the next; OverloadedError once closed."""
        if self._stop.is_set():
            raise OverloadedError("the gateway is shutting down")
        if self._task is None or self._task.done():
            self._manager = asyncio.get_running_loop().create_future()
            self._task = asyncio.create_task(self._serve(self._manager))
        manager = await asyncio.shield(self._manager)
        await manager.handle_request(scope, receive, send)

    async def close(self) -> None:
        """End the transport. What is under way ends with the server that reads the requests."""
        self._stop.set()
        if self._task is not None:
            await asyncio.wait({self._task})

    async def _serve(self, ready: "asyncio.Future[StreamableHTTPSessionManager]") -> None:
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

    def _build(self) -> "StreamableHTTPSessionManager":
        from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

        from macroslow.mcp.server import ToolServer

        tools = ToolServer(self._handlers, _principal_of)
        return StreamableHTTPSessionManager(
            tools.build("macroslow", self._version),
            json_response=True,
            stateless=True,
            max_request_body_size=self._max_body_bytes,
        )


def _guarded(name: str, handler: Handler) -> Handler:
    """The handler, whose defects tell a client nothing: the SDK would pass on an exception's text."""

    async def guarded(principal: Principal, arguments: Mapping[str, object]) -> Mapping[str, object]:
        try:
            return await handler(principal, arguments)
        except MacroslowError:
            raise
        except Exception as error:  # noqa: BLE001 - the outermost handler of a tool
            log.error("the tool %s failed: %s", name, what_failed(error))
            raise InternalError from None

    return guarded


def _principal_of(context: "ServerRequestContext[Any, Any]") -> Principal:
    assert context.request is not None  # noqa: S101 (over HTTP there always is one)
    principal = context.request.scope["state"]["principal"]
    assert isinstance(principal, Principal)  # noqa: S101 (the gate put it there)
    return principal
