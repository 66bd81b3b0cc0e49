"""The messages of streams that a client may resume, in memory, the oldest forgotten first."""

from collections import OrderedDict
from typing import Final

from mcp.server.streamable_http import EventCallback, EventId, EventMessage, EventStore, StreamId
from mcp_types import JSONRPCMessage

MAX_EVENTS: Final = 1000


class Events(EventStore):
    """At most MAX_EVENTS messages of all streams, by number."""

    def __init__(self) -> None:
        self._kept: OrderedDict[EventId, tuple[StreamId, JSONRPCMessage | None]] = OrderedDict()
        self._last = 0

    async def store_event(self, stream_id: StreamId, message: JSONRPCMessage | None) -> EventId:
        """Keep a message; None is one that only says where a stream begins."""
        self._last += 1
        event_id = str(self._last)
        self._kept[event_id] = (stream_id, message)
        if len(self._kept) > MAX_EVENTS:
            self._kept.popitem(last=False)
        return event_id

    async def replay_events_after(
        self, last_event_id: EventId, send_callback: EventCallback
    ) -> StreamId | None:
        """Send what came after an event on its stream; None if that event is not kept."""
        if last_event_id not in self._kept:
            return None
        stream_id, _ = self._kept[last_event_id]
        for event_id, (of, message) in [*self._kept.items()]:
            if of == stream_id and int(event_id) > int(last_event_id) and message is not None:
                await send_callback(EventMessage(message, event_id))
        return stream_id
