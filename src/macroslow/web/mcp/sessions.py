"""Sessions of the handshake versions of MCP, for clients that are asked something in turn: the suites'.

The gateway serves without sessions. Where it is tested as a whole it has them, and a session is of the
principal that began it: to anybody else it does not exist (MCP 2025-11-25, "Security Best Practices", Session
Hijacking). A session's id is no credential; every request has been authenticated before it comes here.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken
from mcp.server.lowlevel import Server
from mcp.server.streamable_http import EventStore
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS

from macroslow.web.mcp.transport import Sessionless
from macroslow.web.messages import Receive, Scope, Send

MAX_SESSIONS: Final = 100
IDLE_S: Final = 60.0
RETRY_MS: Final = 100  # after which a client that lost its stream comes back
VERSION: Final = b"mcp-protocol-version"


class OwnedSessions:
    """At most `at_once` sessions, each forgotten after `idle_s` without a request.

    Newer versions of the protocol know no sessions: theirs is the transport that the gateway always has.
    """

    def __init__(
        self,
        server: Server[Any],
        events: EventStore,
        max_body_bytes: int,
        *,
        idle_s: float = IDLE_S,
        at_once: int = MAX_SESSIONS,
    ) -> None:
        self._sessionless = Sessionless(server, max_body_bytes)
        self._sessions = StreamableHTTPSessionManager(
            server,
            events,
            retry_interval=RETRY_MS,
            session_idle_timeout=idle_s,
            max_request_body_size=max_body_bytes,
            max_sessions=at_once,
        )

    @asynccontextmanager
    async def run(self) -> AsyncIterator[None]:
        """Serve until the context is left."""
        async with self._sessionless.run(), self._sessions.run():
            yield

    async def handle_request(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request of `scope["state"]["principal"]`."""
        versions = [value.decode("latin-1") for name, value in scope["headers"] if name == VERSION]
        if versions and versions[0] not in HANDSHAKE_PROTOCOL_VERSIONS:
            await self._sessionless.handle_request(scope, receive, send)
            return
        owner = AccessToken(token="", client_id=scope["state"]["principal"].name, scopes=[])
        await self._sessions.handle_request({**scope, "user": AuthenticatedUser(owner)}, receive, send)
