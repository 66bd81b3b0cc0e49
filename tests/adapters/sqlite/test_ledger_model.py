"""Any history of money moves gives the same accounts, refusals and reports as the slow reference."""

import asyncio
import shutil
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from tests.adapters.sqlite.support import open_books
from tests.contract.changes import append, reserve, settle
from tests.contract.fake_books import FakeBooks

from macroslow.errors import BudgetExhaustedError, MacroslowError
from macroslow.metering.ledger import USAGE_GROUPS, Budget, CloseAccount, OpenAccount
from macroslow.workflow.books import Books, Change

ACCOUNTS = ("team", "key/k1", "key/k2", "run1", "run2", "nobody")
PARENTS = {"team": None, "key/k1": "team", "key/k2": None, "run1": "key/k1", "run2": "key/k2"}
amounts = st.integers(0, 40) | st.sampled_from([100, 2**53 - 1, -1])
limits = st.none() | st.integers(0, 120) | st.just(2**53 - 1)
budgets = st.builds(
    Budget,
    st.sampled_from(["all/total", "day/1", "day/2", "team"]),
    st.integers(0, 90),
    st.none() | st.integers(0, 3),
)
reservation_ids = st.integers(0, 12).map("r{}".format)

opens = st.builds(
    lambda name, limit: OpenAccount(name, limit, PARENTS[name]), st.sampled_from(sorted(PARENTS)), limits
)
closes = st.builds(CloseAccount, st.sampled_from(ACCOUNTS))
reserves = st.builds(
    lambda name, account, amount, **facts: reserve(name, account, amount, created_ns=int(name[1:]), **facts),
    reservation_ids,
    st.sampled_from(ACCOUNTS),
    amounts,
    model=st.sampled_from(["small", "large"]),
    team=st.sampled_from(["", "lab"]),
    budgets=st.lists(budgets, max_size=3).map(tuple),
    enforced=st.sampled_from([True, True, True, False]),
)
settles = st.builds(
    lambda name, amount, day, once: settle(name, amount, settled_ns=day * 86_400 * 10**9, once=once),
    reservation_ids,
    amounts,
    st.integers(0, 2),
    st.booleans(),
)
changes = st.one_of(reserves, settles, reserves, settles, opens, closes, st.just(append()))


async def outcome(books: Books, change: list[Change]) -> object:
    """What a commit did, without wording and fresh randomness."""
    try:
        return [entry.index for entry in await books.commit(*change)]
    except BudgetExhaustedError as error:
        return (
            error.budget,
            error.limit_usd_micros,
            error.spent_usd_micros,
            error.held_usd_micros,
            error.needed_usd_micros,
            error.resets_s,
        )
    except (MacroslowError, ValueError) as error:
        return type(error)


async def report(books: Books) -> object:
    """All that the ledger answers."""
    return (
        [await books.account(name) for name in ACCOUNTS],
        [held.id for held in await books.open_reservations()],
        sorted(account.id for account in await books.open_child_accounts()),
        [await books.budget_accounts(now_s) for now_s in (0, 1, 2)],
        await books.accounts_of_keys(),
        [await books.usage(by) for by in USAGE_GROUPS],
        await books.usage("team", first_day="1970-01-02", last_day="1970-01-02"),
        await books.daily_usage("openai", "1970-01-01", "1970-01-02"),
        await books.recent_calls(3),
        (await books.head()).size,
    )


class LedgerHistory(RuleBasedStateMachine):
    """Drives both books alike; sometimes several lists at once, sometimes through a restart."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.runner = asyncio.Runner()
        self.model = FakeBooks()
        self.books = self.runner.run(open_books(self.folder / "books.sqlite"))

    @initialize()
    def three_accounts(self) -> None:
        self.commit(
            [OpenAccount("team", 100), OpenAccount("key/k1", None, "team"), OpenAccount("run1", 40, "key/k1")]
        )

    @rule(change=st.lists(changes, min_size=1, max_size=4))
    def commit(self, change: list[Change]) -> None:
        expected = self.runner.run(outcome(self.model, change))
        assert self.runner.run(outcome(self.books, change)) == expected

    @rule(lists=st.lists(st.lists(changes, min_size=1, max_size=3), min_size=2, max_size=6))
    def commit_at_once(self, lists: list[list[Change]]) -> None:
        async def together() -> list[object]:
            return await asyncio.gather(*(outcome(self.books, change) for change in lists))

        async def in_order() -> list[object]:
            return [await outcome(self.model, change) for change in lists]

        assert self.runner.run(together()) == self.runner.run(in_order())

    @rule()
    def restart(self) -> None:
        self.runner.run(self.books.close())
        self.books = self.runner.run(open_books(self.folder / "books.sqlite"))

    @invariant()
    def both_report_the_same(self) -> None:
        assert self.runner.run(report(self.books)) == self.runner.run(report(self.model))
        assert self.runner.run(self.books.audit_ledger()) == []

    def teardown(self) -> None:
        self.runner.run(self.books.close())
        self.runner.close()
        shutil.rmtree(self.folder)


LedgerHistory.TestCase.settings = settings(
    max_examples=30,
    stateful_step_count=10,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
TestLedgerHistory = LedgerHistory.TestCase
