"""Runs that nobody carries out any more are closed with their account: interrupted, outcome unknown.

Whoever carried one out is dead, or could not record its end. What its account held beyond its calls goes
back to its caller; the calls themselves are `reap_reservations`'. Each closing is a log entry of its own,
in one commit; where the run's owner, or another process, was quicker, nothing happens.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from itertools import islice

from macroslow.errors import ConflictError
from macroslow.metering.ledger import CloseAccount
from macroslow.ports import Clock
from macroslow.services.calls.reap_reservations import ROUND
from macroslow.services.documents.record_runs import account_of_run
from macroslow.tlog.event import Event, EventType
from macroslow.tlog.ports import Append
from macroslow.workflow.books import Books
from macroslow.workflow.journal import FinishRun, Run, RunEvent


@dataclass(frozen=True, slots=True)
class InterruptRuns:
    """`alive` tells of an owner whether it may still end its runs; of its own, `owner` has `open_runs`.

    Safe to run in many processes at once.
    """

    books: Books
    clock: Clock
    alive: Callable[[str], Awaitable[bool]]
    owner: str
    open_runs: Collection[str] = frozenset()

    async def __call__(self) -> int:
        """Close up to ROUND runs, the oldest first; how many were closed.

        Raises LogUnavailableError; what was closed until then stands, and the next round closes the rest.
        """
        found = await self.books.running()
        others = {run.owner for run in found} - {self.owner}
        living = {owner for owner in others if await self.alive(owner)}
        dead = (run for run in found if not self._goes_on(run, living))
        outcomes = await asyncio.gather(*map(self._interrupt, islice(dead, ROUND)), return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome
        return sum(map(bool, outcomes))

    def _goes_on(self, run: Run, living: Collection[str]) -> bool:
        return run.owner in living or (run.owner == self.owner and run.id in self.open_runs)

    async def _interrupt(self, run: Run) -> bool:
        """Close it; False if it has ended meanwhile."""
        now_ns = self.clock.now_ns()
        fields = {
            "run_id": run.id,
            "principal": run.principal,
            "document_sha256": run.document_sha256,
            "status": "interrupted",
        }
        account = await self.books.account(account_of_run(run.id))
        try:
            await self.books.commit(
                *([] if account is None else [CloseAccount(account.id)]),
                FinishRun(run.id, RunEvent.CUT_OFF, now_ns),
                Append(Event(EventType.RUN_INTERRUPTED, now_ns, run.principal, fields)),
            )
        except ConflictError:
            return False
        return True
