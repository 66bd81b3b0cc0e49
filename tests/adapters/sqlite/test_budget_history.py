"""Whatever calls, refusals, settlements and kills there are, no budget is ever passed and none leaks.

The limits stand; costs are at most what was reserved, as estimates are meant to be. A kill takes the
files as they are while commits are under way, and the next gateway recovers from them.
"""

import asyncio
import shutil
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from tests.adapters.sqlite.support import SystemClock, open_books
from tests.contract.changes import append, reserve, settle

from macroslow.errors import BudgetExhaustedError
from macroslow.metering.ledger import Account, Budget, CloseAccount, OpenAccount
from macroslow.services.recovery.recover_after_crash import RecoverAfterCrash
from macroslow.workflow.books import Books

BUDGETS = (
    Budget("all/total", 150),
    Budget("tag/a/day/1", 60, 86_400),
    Budget("tag/a/day/2", 60),
    Budget("team", 90),
)
KEYS = ("key/k1", "key/k2")
calls = st.tuples(
    st.sampled_from([*KEYS, "run"]), st.integers(0, 50), st.sets(st.sampled_from(BUDGETS)).map(tuple)
)


class BudgetHistory(RuleBasedStateMachine):
    """One gateway after the other on the same books; `owed` is what is open by what it reserved."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.gateways = 0
        self.made = 0
        self.owed: dict[str, int] = {}
        self.runner = asyncio.Runner()
        self.books = self.runner.run(open_books(self.path))

    @property
    def path(self) -> Path:
        return self.folder / f"books{self.gateways}.sqlite"

    @initialize()
    def two_keys_and_a_run(self) -> None:
        async def opened() -> None:
            await self.books.commit(OpenAccount("key/k1", 120), OpenAccount("key/k2", None))
            await self.open_run()

        self.runner.run(opened())

    @property
    def run(self) -> str:
        return f"run/{self.gateways}"

    async def open_run(self) -> None:
        """Each gateway's own run may spend up to 70 of what its key has left."""
        key = await self.books.account("key/k1")
        assert key is not None
        await self.books.commit(OpenAccount(self.run, min(70, 120 - key.spent_usd_micros), key.id))

    async def call(self, books: Books, name: str, made: tuple[str, int, tuple[Budget, ...]]) -> None:
        paying, amount, budgets = made
        account = paying if paying in KEYS else self.run
        try:
            await books.commit(reserve(name, account, amount, budgets=budgets, run_id=account))
        except BudgetExhaustedError as error:
            refused = error
        else:
            self.owed[name] = amount
            return
        assert refused.spent_usd_micros + refused.held_usd_micros + amount > refused.limit_usd_micros

    def named(
        self, made: list[tuple[str, int, tuple[Budget, ...]]]
    ) -> dict[str, tuple[str, int, tuple[Budget, ...]]]:
        first, self.made = self.made, self.made + len(made)
        return {f"r{first + n}": one for n, one in enumerate(made)}

    @rule(made=st.lists(calls, min_size=1, max_size=12))
    def call_at_once(self, made: list[tuple[str, int, tuple[Budget, ...]]]) -> None:
        async def together() -> None:
            await asyncio.gather(*(self.call(self.books, *one) for one in self.named(made).items()))

        self.runner.run(together())

    @rule(share=st.floats(0, 1), which=st.randoms(use_true_random=False))
    def settle_some(self, share: float, which: object) -> None:
        names = sorted(self.owed)
        which.shuffle(names)  # type: ignore[attr-defined]

        async def together(names: list[str]) -> None:
            costs = {name: int(self.owed.pop(name) * share) for name in names}
            await asyncio.gather(*(self.books.commit(settle(*one), append()) for one in costs.items()))

        self.runner.run(together(names[: 1 + len(names) // 2]))

    @rule(made=st.lists(calls, min_size=1, max_size=12), turns=st.integers(0, 3))
    def kill_and_recover(self, made: list[tuple[str, int, tuple[Budget, ...]]], turns: int) -> None:
        dying, before = self.books, self.path

        async def kill() -> None:
            under_way = [asyncio.create_task(self.call(dying, *one)) for one in self.named(made).items()]
            for _ in range(1 + turns):
                await asyncio.sleep(0)
            self.gateways += 1
            for end in ("", "-wal"):
                shutil.copy(f"{before}{end}", f"{self.path}{end}")
            await asyncio.gather(*under_way)
            await dying.close()
            self.books = await open_books(self.path)
            await RecoverAfterCrash(self.books, SystemClock(), "again")()
            assert {account.held_usd_micros for account in await self.accounts()} == {0}
            await self.open_run()

        self.runner.run(kill())
        self.owed.clear()

    @invariant()
    def no_limit_is_passed_and_the_counters_are_the_rows(self) -> None:
        for account in self.runner.run(self.accounts()):
            limit = account.limit_usd_micros
            assert limit is None or account.spent_usd_micros + account.held_usd_micros <= limit
        assert self.runner.run(self.books.audit_ledger()) == []
        opened = self.runner.run(self.books.open_reservations())
        assert {held.id: held.usd_micros for held in opened} == self.owed

    async def accounts(self) -> list[Account]:
        """The keys, the run and every budget's counter."""
        found = [await self.books.account(name) for name in (*KEYS, self.run)]
        return [account for account in found if account] + await self.books.budget_accounts(0)

    def teardown(self) -> None:
        async def settle_all() -> None:
            for name, amount in self.owed.items():
                await self.books.commit(settle(name, amount))
            await self.books.commit(CloseAccount(self.run))
            assert {account.held_usd_micros for account in await self.accounts()} == {0}

        if self.runner.run(self.books.account(self.run)):
            self.runner.run(settle_all())
        self.runner.run(self.books.close())
        self.runner.close()
        shutil.rmtree(self.folder)


BudgetHistory.TestCase.settings = settings(
    max_examples=15,
    stateful_step_count=8,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
TestBudgetHistory = BudgetHistory.TestCase
