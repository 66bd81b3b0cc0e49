"""Sessions of the handshake versions of MCP, for clients that are asked something in turn: the suites'.

The gateway serves without sessions. Where it is tested as a whole it has them, and a session is of the
principal that began it: to anybody else it does not exist (MCP 2025-11-25, "Security Best Practices", Session
Hijacking). A session's id is no credential; every request has been authenticated before it comes here.
"""

from typing import Any, Final

from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken
from mcp.server.lowlevel import Server
from mcp.server.streamable_http import EventStore
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

from macroslow.web.messages import Receive, Scope, Send

MAX_SESSIONS: Final = 200
IDLE_S: Final = 60.0
RETRY_MS: Final = 100  # after which a client that lost its stream comes back


class OwnedSessions(StreamableHTTPSessionManager):
    """At most MAX_SESSIONS at once, each forgotten after `idle_s` without a request."""

    def __init__(
        self, server: Server[Any], events: EventStore, max_body_bytes: int, *, idle_s: float = IDLE_S
    ) -> None:
        super().__init__(
            server,
            events,
            retry_interval=RETRY_MS,
            session_idle_timeout=idle_s,
            max_request_body_size=max_body_bytes,
            max_sessions=MAX_SESSIONS,
        )

    async def handle_request(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request of `scope["state"]["principal"]`."""
        owner = AccessToken(token="", client_id=scope["state"]["principal"].name, scopes=[])
        await super().handle_request({**scope, "user": AuthenticatedUser(owner)}, receive, send)
