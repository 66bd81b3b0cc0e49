"""Time stamps over the log: now and then a third party dates the newest checkpoint.

Whoever holds a receipt whose entry lies under a dated checkpoint needs not believe our clock, nor that we
did not make the log anew: at that time it was there. An authority that cannot be had is told of once and
asked again with growing pauses; nobody waits for it.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, NoReturn, Protocol

from macroslow.errors import LogUnavailableError, UpstreamUnavailableError, VerificationError
from macroslow.ports import NS_PER_S, Clock
from macroslow.tlog import note
from macroslow.tlog.ports import StoreAnchor
from macroslow.workflow.books import Books

LOOK_EVERY_S: Final = 60.0
PAUSES_S: Final = (60.0, 300.0, 1800.0, 3600.0)
"""After each failure in a row; the last one stays."""

log: Final = logging.getLogger("macroslow.log")


class Authority(Protocol):
    """Who dates checkpoints."""

    @property
    def name(self) -> str: ...

    async def stamp(self, message: bytes) -> bytes:
        """A response over SHA-256 of `message`, verified; UpstreamUnavailableError if there is none."""
        ...

    def dated(self, response: bytes, message: bytes) -> int:
        """The time (in seconds) of a kept response.

        VerificationError if it is none of those believed, or lies ahead of the clock.
        """
        ...


@dataclass(slots=True)  # not frozen: it counts failures
class StampLog:
    """`newest` returns the signed note that is published. One instance a process."""

    books: Books
    newest: Callable[[], Awaitable[bytes]]
    authority: Authority
    clock: Clock
    every_s: int
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    failures: int = 0

    async def run(self) -> NoReturn:
        """Stamp whenever it is due. Ends by cancellation."""
        while True:
            await self.sleep(await self.once())

    async def once(self) -> float:
        """Stamp if it is due; after how many seconds to look again."""
        try:
            if await self._is_due():
                await self._stamp()
        except (UpstreamUnavailableError, LogUnavailableError) as error:
            if not self.failures:
                log.warning("the log is not time-stamped: %s; it is tried again", error.detail)
            self.failures += 1
            return PAUSES_S[min(self.failures, len(PAUSES_S)) - 1]
        if self.failures:
            log.warning("over: the log is time-stamped again")
        self.failures = 0
        return LOOK_EVERY_S

    async def _is_due(self) -> bool:
        """Whether entries came after the newest anchor, and it is older than it may be or does not verify."""
        anchor, head = await self.books.newest_anchor(), await self.books.head()
        if anchor is None or head.size <= anchor.size:
            return anchor is None and head.size > 0
        try:
            stamped_s = await asyncio.to_thread(self.authority.dated, anchor.token, anchor.note)
        except VerificationError:  # by another authority than today's, or from the future
            return True
        return self.clock.now_ns() // NS_PER_S - stamped_s >= self.every_s

    async def _stamp(self) -> None:
        published = await self.newest()
        token = await self.authority.stamp(published)
        size = note.parse_body(note.parse(published).text).size
        await self.books.commit(StoreAnchor(size, published, token))
        log.info("the log is time-stamped by %s up to entry %d", self.authority.name, size - 1)
