"""`subscriptions/listen`: streams that tell of changed lists (MCP 2026-07-28, "Subscriptions").

Streams are bounded for each principal, so that nobody uses up those of all.
"""

from collections import Counter
from typing import Final

import mcp_types as types
from mcp.server.subscriptions import ListenHandler, SubscriptionBus

from macroslow.authn.principal import Principal
from macroslow.errors import RateLimitedError
from macroslow.mcp.source import Context

MAX_STREAMS: Final = 1024
MAX_STREAMS_OF_ONE: Final = 16
MAX_EVENTS_WAITING: Final = 64  # of a stream whose client has stopped reading; then it ends


class Listeners:
    """Those who listen to the bus."""

    def __init__(self, bus: SubscriptionBus) -> None:
        self._listen = ListenHandler(
            bus, max_subscriptions=MAX_STREAMS, max_buffered_events=MAX_EVENTS_WAITING
        )
        self._open: Counter[str] = Counter()

    async def __call__(
        self, principal: Principal, context: Context, params: types.SubscriptionsListenRequestParams
    ) -> types.SubscriptionsListenResult:
        """Serve one stream until its client goes or `close`. RateLimitedError if it is one too many."""
        name = principal.name
        if self._open[name] >= MAX_STREAMS_OF_ONE:
            raise RateLimitedError(
                f"{name} already listens on {MAX_STREAMS_OF_ONE} streams",
                limit="streams that listen",
                count=MAX_STREAMS_OF_ONE,
                period_s=0,
                retry_after_s=1.0,
                fix="close one of them",
            )
        self._open[name] += 1
        try:
            return await self._listen(context, params)
        finally:
            self._open[name] -= 1
            if not self._open[name]:
                del self._open[name]

    def close(self) -> None:
        """End every stream with its result."""
        self._listen.close()
