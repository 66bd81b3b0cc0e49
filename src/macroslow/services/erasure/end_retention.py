"""Erasures are completed when the retention of what was held has ended, whatever was restarted meanwhile.

What is pending is read from the log itself: the entry of an erasure that is not complete still names its
person, to whoever holds that person's key.

Nothing is ended by a clock that jumps: it must have been steady for a day (`SteadyClock`). So what is due at
a start goes a day later.
"""

import asyncio
from contextlib import suppress
from typing import Final, NoReturn

from macroslow.errors import LogUnavailableError
from macroslow.ports import Clock
from macroslow.services.erasure.erase_subject import EraseSubjects
from macroslow.services.erasure.pending_erasures import pending_from
from macroslow.services.erasure.steady_clock import SteadyClock
from macroslow.workflow.books import Books

EVERY_S: Final = 3600.0  # retention is told in days


class EndRetention:
    """Looks every hour. Safe to run in many processes at once."""

    def __init__(self, books: Books, erase: EraseSubjects, clock: Clock) -> None:
        self._books = books
        self._erase = erase
        self._clock = clock
        self._steady = SteadyClock(books, clock)
        self._read_to = 0  # entries of the log that were looked through
        self._due_ns: dict[str, int] = {}  # whose erasure is pending, and when more of it may go

    async def run(self) -> NoReturn:
        """Look for ever; a store that cannot be read or written is tried again."""
        while True:
            with suppress(LogUnavailableError):  # readiness says so already
                await self.look()
            await asyncio.sleep(EVERY_S)

    async def look(self) -> None:
        """Go on with every erasure whose time has come, if the clock may be believed."""
        if not await self._steady.is_steady():
            return
        size = (await self._books.head()).size
        async for each in pending_from(self._books, self._read_to):
            self._due_ns.setdefault(each.subject, 0)
        self._read_to = size
        now_ns = self._clock.now_ns()
        for subject in [subject for subject, due_ns in self._due_ns.items() if due_ns <= now_ns]:
            again_ns = await self._erase.complete(subject)
            if again_ns is None:
                del self._due_ns[subject]
            else:
                self._due_ns[subject] = again_ns
