"""What a server needs beside its sources before the suites can test all of the protocol.

The handshake versions keep sessions, which the gateway otherwise never does: in them a client sets the level
of log messages and subscribes to resources. The state of multi-round requests is sealed by AES-256-GCM and
bound to who asked, the method, the name, the arguments and the time (MCP 2026-07-28, "Multi Round-Trip
Requests", Security).
"""

from collections.abc import Callable
from typing import Any, Final

import mcp_types as types
from mcp.server.lowlevel import Server
from mcp.server.request_state import RequestStateBoundary, RequestStateSecurity

from macroslow.mcp.source import Context

STATE_TTL_S: Final = 600.0
KEY_BYTES: Final = 32


def arm(server: Server[Any], key: bytes, principal_of: Callable[[Context], str]) -> None:
    """Make `server` speak what only the suites ask of it; `key` seals its states."""
    security = RequestStateSecurity(keys=[key], ttl=STATE_TTL_S, bind_principal=principal_of)
    server.middleware.append(RequestStateBoundary(security, default_audience=server.name))
    server.add_request_handler("logging/setLevel", types.SetLevelRequestParams, _accepted)
    server.add_request_handler("resources/subscribe", types.SubscribeRequestParams, _accepted)
    server.add_request_handler("resources/unsubscribe", types.UnsubscribeRequestParams, _accepted)


async def _accepted(_: Context, __: types.RequestParams) -> types.EmptyResult:
    """Nothing here changes by itself or is logged below a level, so that there is nothing to remember."""
    return types.EmptyResult()
