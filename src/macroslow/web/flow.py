"""Back-pressure: the two directions of one connection, each of which may have to wait for the other side.

A caller that leaves some of what is sent to it, and takes less than LEAST_TAKEN_BYTES in STUCK_S, is cut off.
"""

import asyncio
from typing import Final

STUCK_S: Final = 60.0
LEAST_TAKEN_BYTES: Final = 256 * 1024


class Flow:
    """Of one transport. `congested` says that more is written than it likes to hold."""

    __slots__ = ("_held", "_loop", "_reads", "_stuck", "_transport", "_writable", "congested")

    def __init__(self, transport: asyncio.Transport) -> None:
        # One piece waits there for a slow reader, and no second one. Not 0: over TLS that never lets go.
        transport.set_write_buffer_limits(1)
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._held = False
        self._reads = True
        self._writable = asyncio.Event()
        self._stuck: asyncio.TimerHandle | None = None  # runs while something waits to be taken
        self.congested = False

    def pause_reading(self) -> None:
        """Let the caller wait."""
        if self._reads:
            self._reads = False
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Take what comes, unless reading is held."""
        if not (self._reads or self._held):
            self._reads = True
            self._transport.resume_reading()

    def hold(self) -> None:
        """Let the caller wait, whoever would read, until `release`."""
        self._held = True
        self.pause_reading()

    def release(self) -> None:
        """Take what comes."""
        self._held = False
        self.resume_reading()

    def pause_writing(self) -> None:
        """The caller does not read as fast as we write."""
        self.congested = True
        self._writable.clear()
        self._watch_reader()

    def resume_writing(self) -> None:
        """He has read it, or is gone."""
        self.congested = False
        self._writable.set()
        if self._stuck is not None:
            self._stuck.cancel()

    async def drain(self) -> None:
        """Wait until there is room to write."""
        await self._writable.wait()

    def _watch_reader(self) -> None:
        unsent_bytes = self._transport.get_write_buffer_size()
        self._stuck = self._loop.call_later(STUCK_S, self._look_at_reader, unsent_bytes)

    def _look_at_reader(self, unsent_bytes: int) -> None:
        if self._transport.get_write_buffer_size() > unsent_bytes - LEAST_TAKEN_BYTES:
            self._transport.abort()
        else:
            self._watch_reader()
