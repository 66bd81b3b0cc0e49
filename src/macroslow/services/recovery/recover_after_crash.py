"""What a gateway that died left open is closed before the next one serves.

A call whose outcome nobody saw is charged in full, since the work may have been done; a run that
was cut off is reported as interrupted, never as success. Each closing is a log entry of its own.
For the start of the only process: it owns nothing yet, and every other owner is dead.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from macroslow.metering.ledger import CloseAccount
from macroslow.metering.money import usd
from macroslow.ports import Clock
from macroslow.services.calls.reap_reservations import Reaped, ReapReservations
from macroslow.services.documents.interrupt_runs import InterruptRuns
from macroslow.workflow.books import Books


@dataclass(frozen=True, slots=True)
class Recovered:
    """How much was found open."""

    calls: int
    runs: int
    usd_micros: int

    @property
    def notes(self) -> Sequence[str]:
        """What the operator is told of it: nothing, where nothing was open."""
        if not self.calls and not self.runs:
            return ()
        charged = f"{self.calls} calls charged in full (${usd(self.usd_micros)})"
        return (f"after a crash: {charged}, {self.runs} runs reported as interrupted",)


@dataclass(frozen=True, slots=True)
class RecoverAfterCrash:
    """Closes open reservations, then run accounts, then runs. Safe to be killed and repeated.

    `owner` is this process.
    """

    books: Books
    clock: Clock
    owner: str

    async def __call__(self) -> Recovered:
        """Close everything that is open; each item in a commit of its own."""
        reaped = await self._reap()
        for account in await self.books.open_child_accounts():
            await self.books.commit(CloseAccount(account.id))
        interrupt = InterruptRuns(self.books, self.clock, _nobody_is, self.owner)
        rounds = [await interrupt()]
        while rounds[-1]:
            rounds.append(await interrupt())
        return Recovered(reaped.calls, sum(rounds), reaped.usd_micros)

    async def _reap(self) -> Reaped:
        reap = ReapReservations(self.books, self.clock, _nobody_is)
        rounds = [await reap()]
        while rounds[-1].calls:
            rounds.append(await reap())
        return Reaped(sum(each.calls for each in rounds), sum(each.usd_micros for each in rounds))


async def _nobody_is(_owner: str) -> bool:
    return False
