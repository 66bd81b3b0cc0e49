"""What a gateway that died left open is closed before the next one serves.

A call whose outcome nobody saw is charged in full, since the work may have been done; a run that
was cut off is reported as interrupted, never as success. Each closing is a log entry of its own.
"""

from dataclasses import dataclass

from macroslow.metering.ledger import CloseAccount, OpenReservation, Settle, Usage
from macroslow.ports import Clock
from macroslow.tlog.event import Event, EventType
from macroslow.tlog.ports import Append
from macroslow.workflow.books import Books
from macroslow.workflow.journal import FinishRun, Run, RunEvent


@dataclass(frozen=True, slots=True)
class Recovered:
    """How much was found open."""

    calls: int
    runs: int
    usd_micros: int


@dataclass(frozen=True, slots=True)
class RecoverAfterCrash:
    """Closes open reservations, then run accounts, then runs. Safe to be killed and repeated."""

    books: Books
    clock: Clock

    async def __call__(self) -> Recovered:
        """Close everything that is open; each item in a commit of its own."""
        calls = await self.books.open_reservations()
        for call in calls:
            await self._settle_unknown(call)
        for account in await self.books.open_child_accounts():
            await self.books.commit(CloseAccount(account.id))
        runs = await self.books.running()
        for run in runs:
            await self._interrupt(run)
        return Recovered(len(calls), len(runs), sum(call.usd_micros for call in calls))

    async def _settle_unknown(self, call: OpenReservation) -> None:
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
            "outcome": "unknown",
        }
        await self.books.commit(
            Settle(call.id, Usage(0, 0, call.usd_micros), now_ns, "unknown"),
            Append(Event(EventType.CHAT_UNKNOWN, now_ns, call.principal, fields)),
        )

    async def _interrupt(self, run: Run) -> None:
        now_ns = self.clock.now_ns()
        fields = {
            "run_id": run.id,
            "principal": run.principal,
            "document_sha256": run.document_sha256,
            "status": "interrupted",
        }
        await self.books.commit(
            FinishRun(run.id, RunEvent.CUT_OFF, now_ns),
            Append(Event(EventType.RUN_INTERRUPTED, now_ns, run.principal, fields)),
        )
