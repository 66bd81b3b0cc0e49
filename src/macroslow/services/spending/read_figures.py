"""What the books say to a dashboard: money by model, how full the budgets are, what is still open."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from macroslow.metering.budgets import Scope
from macroslow.metering.ledger import UsageRow
from macroslow.ports import Clock
from macroslow.services.spending.budgets_in_force import BudgetInForce, read_in_force
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
        in_force = await read_in_force(self.books, self.clock.now_ns())
        budgets = [self._fill(one) for one in in_force.budgets]
        return Figures(by_model, budgets, len(await self.books.open_reservations()))

    def _fill(self, budget: BudgetInForce) -> BudgetFill:
        account, counted = budget.account, budget.counted
        told = counted.scope is not Scope.TAG or counted.name in self.tags
        return BudgetFill(
            counted.scope,
            counted.name if told else "",
            counted.period,
            budget.limit_usd_micros,
            account.spent_usd_micros,
            account.held_usd_micros,
        )
