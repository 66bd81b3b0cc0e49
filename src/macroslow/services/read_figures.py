"""What the books say to a dashboard: money by model, how full the budgets are, what is still open."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from macroslow.metering.budgets import Period, Scope, read_counter
from macroslow.metering.ledger import UsageRow
from macroslow.ports import Clock
from macroslow.workflow.books import Books


@dataclass(frozen=True, slots=True)
class BudgetFill:
    """How full one budget is. `name` is empty for the budget of all, and where it may not be told."""

    scope: str
    name: str
    period: str
    limit_usd_micros: int
    spent_usd_micros: int
    held_usd_micros: int


@dataclass(frozen=True, slots=True)
class Figures:
    """One look at the books."""

    by_model: Sequence[UsageRow] = ()
    budgets: Sequence[BudgetFill] = ()
    open_reservations: int = 0


@dataclass(frozen=True, slots=True)
class ReadFigures:
    """`tags` are those that the operator's own rules name: any other is a caller's word, and not told."""

    books: Books
    clock: Clock
    tags: Collection[str] = ()

    async def __call__(self) -> Figures:
        """Four questions to the store, none of which grows with the number of calls."""
        by_model = await self.books.usage("model")
        budgets = [*await self._of_keys(), *await self._counted()]
        return Figures(by_model, budgets, len(await self.books.open_reservations()))

    async def _of_keys(self) -> list[BudgetFill]:
        """The budgets for a key's life."""
        return [
            BudgetFill(
                Scope.KEY, row.key, Period.TOTAL, row.limit_usd_micros, row.usd_micros, row.held_usd_micros
            )
            for row in await self.books.usage("key")
            if row.limit_usd_micros is not None
        ]

    async def _counted(self) -> list[BudgetFill]:
        """The counters of this day and this month, and those that never end."""
        now_ns, found = self.clock.now_ns(), []
        for account in await self.books.budget_accounts():
            counted = read_counter(account.id)
            if account.limit_usd_micros is None or not counted.is_current(now_ns):
                continue
            told = counted.scope is not Scope.TAG or counted.name in self.tags
            found.append(
                BudgetFill(
                    counted.scope,
                    counted.name if told else "",
                    counted.period,
                    account.limit_usd_micros,
                    account.spent_usd_micros,
                    account.held_usd_micros,
                )
            )
        return found
