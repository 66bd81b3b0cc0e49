"""The SDK's Streamable HTTP without sessions, in both eras: JSON, and events where somebody waits for them.

A plain answer is one JSON text, which costs least. A request that asks for progress, and a client that takes
events, get a stream; `subscriptions/listen` is one by itself.

Source: MCP 2026-07-28, "Streamable HTTP".
"""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, Protocol

from macroslow.web import media_types
from macroslow.web.mcp.message import RPCMessage
from macroslow.web.messages import Receive, Scope, Send

if TYPE_CHECKING:
    from mcp.server.lowlevel import Server

EVENTS: Final = media_types.EVENTS.encode("ascii")


class Serves(Protocol):
    """One server over Streamable HTTP, while it runs."""

    def run(self) -> AbstractAsyncContextManager[None]: ...

    async def handle_request(self, scope: Scope, receive: Receive, send: Send) -> None: ...


class Sessionless:
    """Keeps nothing from one request to the next. `scope["state"]["message"]` is what came, or None."""

    def __init__(self, server: "Server[Any]", max_body_bytes: int) -> None:
        from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

        self._plain, self._streaming = (
            StreamableHTTPSessionManager(
                server, json_response=json, stateless=True, max_request_body_size=max_body_bytes
            )
            for json in (True, False)
        )

    @asynccontextmanager
    async def run(self) -> AsyncIterator[None]:
        """Serve until the context is left."""
        async with self._plain.run(), self._streaming.run():
            yield

    async def handle_request(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        message: RPCMessage | None = scope["state"]["message"]
        streams = message is not None and message.wants_progress and _takes_events(scope)
        manager = self._streaming if streams else self._plain
        await manager.handle_request(scope, receive, send)


def _takes_events(scope: Scope) -> bool:
    return any(EVENTS in value for name, value in scope["headers"] if name == b"accept")
