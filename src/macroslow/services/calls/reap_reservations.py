"""Reservations that nobody will settle any more are closed: charged in full, outcome unknown.

Whoever owned one is dead, or its time is over. The work may have been done, so the money is spent: a
crash neither makes budget free nor keeps it held for ever. Each closing is a log entry of its own, in one
commit with its settlement; where its owner, or another reaper, was quicker, neither happens.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from itertools import islice
from typing import Final

from macroslow.errors import ConflictError
from macroslow.metering.ledger import CallOutcome, OpenReservation, Settle, Usage
from macroslow.ports import Clock
from macroslow.tlog.event import Event, EventType
from macroslow.tlog.ports import Append
from macroslow.workflow.books import Books

ROUND: Final = 256
"""Most reservations that one round closes, so that the calls of the living are not kept waiting."""


@dataclass(frozen=True, slots=True)
class Reaped:
    """How much was closed."""

    calls: int
    usd_micros: int


@dataclass(frozen=True, slots=True)
class ReapReservations:
    """`alive` tells of an owner whether it may still settle. Safe to run in many processes at once."""

    books: Books
    clock: Clock
    alive: Callable[[str], Awaitable[bool]]

    async def __call__(self) -> Reaped:
        """Close up to ROUND reservations, the oldest first; none is left once it returns nothing.

        Raises LogUnavailableError; what was closed until then stands, and the next round closes the rest.
        """
        now_ns = self.clock.now_ns()
        found = await self.books.open_reservations()
        living = {owner for owner in {call.owner for call in found} if await self.alive(owner)}
        round_of = list(islice((call for call in found if _is_dead(call, now_ns, living)), ROUND))
        outcomes = await asyncio.gather(*map(self._close, round_of), return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome
        closed = [call for call, outcome in zip(round_of, outcomes, strict=True) if outcome]
        return Reaped(len(closed), sum(call.usd_micros for call in closed))

    async def _close(self, call: OpenReservation) -> bool:
        """Charge it in full; False if it was settled meanwhile."""
        now_ns = self.clock.now_ns()
        fields = {
            "reservation": call.id,
            "principal": call.principal,
            "key_id": call.key_id,
            "provider": call.provider,
            "model": call.model,
            "run_id": call.run_id,
            "tag": call.tag,
            "usd_micros": call.usd_micros,
            "outcome": CallOutcome.UNKNOWN,
        }
        try:
            await self.books.commit(
                Settle(call.id, Usage(0, 0, call.usd_micros), now_ns, CallOutcome.UNKNOWN, once=True),
                Append(Event(EventType.CHAT_UNKNOWN, now_ns, call.principal, fields)),
            )
        except ConflictError:
            return False
        return True


def _is_dead(call: OpenReservation, now_ns: int, living: Collection[str]) -> bool:
    return call.expires_ns <= now_ns or call.owner not in living
