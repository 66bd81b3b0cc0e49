"""The budgets in force now: each key's for its life, and each counter whose period has not ended.

Two questions to the store, which cost the same after a year of days as on the first.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from macroslow.metering.budgets import CountedSpending, Period, Scope, read_counter
from macroslow.metering.ledger import Account
from macroslow.ports import NS_PER_S
from macroslow.workflow.books import Books


@dataclass(frozen=True, slots=True)
class BudgetInForce:
    """One budget: its account, and whose spending is counted there over what time."""

    account: Account
    limit_usd_micros: int
    counted: CountedSpending


@dataclass(frozen=True, slots=True)
class InForce:
    """What one look found. `keys` are the accounts of all keys by id, of those without a budget too."""

    keys: Mapping[str, Account]
    budgets: Sequence[BudgetInForce]


async def read_in_force(books: Books, now_ns: int) -> InForce:
    """The budgets of keys by their ids, then the counters by name. Raises LogUnavailableError."""
    keys = await books.accounts_of_keys()
    counters = await books.budget_accounts(now_ns // NS_PER_S)
    return InForce(keys, [*_of_keys(keys), *_of_counters(counters)])


def _of_keys(keys: Mapping[str, Account]) -> Iterator[BudgetInForce]:
    for key_id, account in keys.items():
        if account.limit_usd_micros is not None:
            counted = CountedSpending(Scope.KEY, key_id, Period.TOTAL)
            yield BudgetInForce(account, account.limit_usd_micros, counted)


def _of_counters(counters: Sequence[Account]) -> Iterator[BudgetInForce]:
    for account in counters:
        if account.limit_usd_micros is not None:
            yield BudgetInForce(account, account.limit_usd_micros, read_counter(account.id))
