"""What a process that died left open is closed by one that lives: its calls, then its runs."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, NoReturn

from macroslow.errors import LogUnavailableError
from macroslow.ports import NS_PER_S
from macroslow.services.calls.reap_reservations import ROUND, ReapReservations
from macroslow.services.documents.interrupt_runs import InterruptRuns

INTERVAL_NS: Final = 10 * NS_PER_S


@dataclass(frozen=True, slots=True)
class ReapTheDead:
    """Looks every few seconds. Safe to run in many processes at once."""

    calls: ReapReservations
    runs: InterruptRuns

    async def run(self, interval_ns: int = INTERVAL_NS) -> NoReturn:
        """Close what must be closed, for ever; a store that cannot be written is tried again."""
        while True:
            closed = 0
            with suppress(LogUnavailableError):
                closed = max((await self.calls()).calls, await self.runs())
            if closed < ROUND:
                await asyncio.sleep(interval_ns / NS_PER_S)
