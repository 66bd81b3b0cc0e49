"""What every store of the books must do about budgets and the reports of what was spent."""

import asyncio
from dataclasses import replace

import pytest
from tests.contract.changes import append, money, refusals, reserve, settle

from macroslow.errors import BudgetExhaustedError, ConflictError, NotFoundError
from macroslow.metering.ledger import (
    MAX_COUNT,
    USAGE_GROUPS,
    Account,
    Budget,
    CloseAccount,
    DailyUsage,
    OpenAccount,
    OpenReservation,
    RecentCall,
    UsageRow,
)
from macroslow.ports import DAY_NS
from macroslow.tlog.ports import TreeHead
from macroslow.tlog.tree import root_of
from macroslow.workflow.books import Books, Change

DAY = Budget("tag/ci/day/1970-01-02", 100, 172_800)
MONTH = Budget("team/lab/month/1970-01", 1_000, 2_678_400)
TOTAL = Budget("all/total", 10_000)
ALL = (DAY, MONTH, TOTAL)


async def counters(books: Books, *budgets: Budget) -> list[tuple[int, int]]:
    return [await money(books, budget.id) for budget in budgets]


class BudgetContract:
    async def test_a_call_is_held_and_spent_in_its_account_and_in_each_of_its_budgets(
        self, books: Books
    ) -> None:
        await books.commit(OpenAccount("a", None), OpenAccount("b", None))
        await books.commit(reserve("r1", "a", 60, budgets=ALL), reserve("r2", "b", 30, budgets=(MONTH,)))
        assert await counters(books, *ALL) == [(0, 60), (0, 90), (0, 60)]
        assert await money(books, "a") == (0, 60)
        await books.commit(settle("r1", 25), settle("r2", 30))
        assert await counters(books, *ALL) == [(25, 0), (55, 0), (25, 0)]
        assert await books.audit_ledger() == []

    async def test_the_first_reservation_makes_the_counter_and_later_ones_bring_its_limit(
        self, books: Books
    ) -> None:
        await books.commit(OpenAccount("a", None))
        assert await books.account(DAY.id) is None
        await books.commit(reserve("r1", "a", 60, budgets=(DAY,)))
        made = Account(DAY.id, None, 100, 0, 60, counter=True, resets_s=172_800)
        assert await books.account(DAY.id) == made
        await books.commit(reserve("r2", "a", 60, budgets=(Budget(DAY.id, 120),)))
        raised = replace(made, limit_usd_micros=120, held_usd_micros=120)
        assert await books.account(DAY.id) == raised
        with pytest.raises(BudgetExhaustedError):
            await books.commit(reserve("r3", "a", 1, budgets=(Budget(DAY.id, 50),)))
        assert await books.account(DAY.id) == raised

    async def test_concurrent_first_requests_cannot_pass_a_budget_that_nobody_used_before(
        self, books: Books
    ) -> None:
        await books.commit(*(OpenAccount(f"a{n}", None) for n in range(50)))
        refused = await refusals(
            books.commit(reserve(f"r{n}", f"a{n}", 7, budgets=(TOTAL, DAY))) for n in range(50)
        )
        assert len(refused) == 50 - 100 // 7
        assert {type(error) for error in refused} == {BudgetExhaustedError}
        assert await counters(books, TOTAL, DAY) == [(0, 98), (0, 98)]
        assert await books.audit_ledger() == []

    async def test_a_refusal_names_the_budget_its_numbers_and_when_it_resets(self, books: Books) -> None:
        await books.commit(OpenAccount("a", 100_000), reserve("r1", "a", 50, budgets=ALL), settle("r1", 30))
        await books.commit(reserve("r2", "a", 40, budgets=ALL))
        with pytest.raises(BudgetExhaustedError) as refused:
            await books.commit(reserve("r3", "a", 31, budgets=ALL))
        error = refused.value
        assert (error.budget, error.limit_usd_micros, error.resets_s) == (DAY.id, 100, 172_800)
        assert (error.spent_usd_micros, error.held_usd_micros, error.needed_usd_micros) == (30, 40, 31)
        assert error.fix
        await books.commit(reserve("r3", "a", 30, budgets=ALL))

    async def test_what_does_not_fit_one_budget_is_held_in_none(self, books: Books) -> None:
        await books.commit(OpenAccount("top", 500), OpenAccount("a", None, "top"))
        with pytest.raises(BudgetExhaustedError) as refused:
            await books.commit(reserve("r1", "a", 101, budgets=(TOTAL, MONTH, DAY)))
        assert refused.value.budget == DAY.id
        assert await money(books, "top") == await money(books, "a") == (0, 0)
        assert [await books.account(budget.id) for budget in ALL] == [None, None, None]
        assert await books.budget_accounts(0) == []
        assert await books.open_reservations() == []

    async def test_the_account_and_those_above_it_refuse_before_the_budgets(self, books: Books) -> None:
        await books.commit(OpenAccount("top", 50), OpenAccount("a", None, "top"))
        with pytest.raises(BudgetExhaustedError) as refused:
            await books.commit(reserve("r1", "a", 101, budgets=(DAY,)))
        assert (refused.value.budget, refused.value.resets_s) == ("top", None)

    async def test_zero_fits_a_full_budget_and_not_one_that_is_passed(self, books: Books) -> None:
        await books.commit(OpenAccount("a", None), reserve("r1", "a", 100, budgets=(DAY,)))
        await books.commit(reserve("r2", "a", 0, budgets=(DAY,)), settle("r1", 101))
        with pytest.raises(BudgetExhaustedError):
            await books.commit(reserve("r3", "a", 0, budgets=(DAY,)))

    async def test_a_settlement_moves_the_budgets_of_the_day_of_its_reservation(self, books: Books) -> None:
        tomorrow = Budget("tag/ci/day/1970-01-03", 100, 259_200)
        await books.commit(OpenAccount("a", None), reserve("r1", "a", 60, budgets=(DAY,)))
        await books.commit(reserve("r2", "a", 70, budgets=(tomorrow,)))
        await books.commit(settle("r1", 50, settled_ns=2 * DAY_NS + 1))
        assert await counters(books, DAY, tomorrow) == [(50, 0), (0, 70)]
        await books.commit(settle("r2", 5), settle("r2", 6))
        assert await counters(books, DAY, tomorrow) == [(50, 0), (5, 0)]
        assert await books.audit_ledger() == []

    async def test_an_observer_holds_over_every_limit(self, books: Books) -> None:
        await books.commit(OpenAccount("top", 10), OpenAccount("a", 5, "top"))
        await books.commit(reserve("r1", "a", 200, budgets=(DAY, MONTH), enforced=False))
        assert await money(books, "top") == await money(books, "a") == (0, 200)
        assert await counters(books, DAY, MONTH) == [(0, 200), (0, 200)]
        with pytest.raises(BudgetExhaustedError):
            await books.commit(reserve("r2", "a", 1, budgets=(DAY,)))
        await books.commit(settle("r1", 150))
        assert await counters(books, DAY, MONTH) == [(150, 0), (150, 0)]
        assert await money(books, "top") == (150, 0)
        assert await books.audit_ledger() == []

    async def test_an_observer_opens_an_account_over_its_parents_limit(self, books: Books) -> None:
        await books.commit(OpenAccount("top", 10), reserve("r1", "top", 10), settle("r1", 10))
        for limit in (0, 1, 500):
            with pytest.raises(BudgetExhaustedError):
                await books.commit(OpenAccount("run", limit or 1, "top"))
        await books.commit(OpenAccount("run", 500, "top", enforced=False))
        assert await money(books, "top") == (10, 500)
        await books.commit(reserve("r2", "run", 700, enforced=False))
        await books.commit(settle("r2", 650), CloseAccount("run"))
        assert await money(books, "top") == (660, 0)
        with pytest.raises(ConflictError):
            await books.commit(OpenAccount("run", 500, "top", enforced=False))
        await books.commit(CloseAccount("top"))
        with pytest.raises(ConflictError):
            await books.commit(OpenAccount("other", 500, "top", enforced=False))
        assert await books.audit_ledger() == []

    async def test_an_observer_is_still_refused_by_a_closed_or_unknown_account(self, books: Books) -> None:
        await books.commit(OpenAccount("top", 10), OpenAccount("a", None, "top"), CloseAccount("top"))
        for account, error in (("nobody", NotFoundError), ("top", ConflictError), ("a", ConflictError)):
            with pytest.raises(error):
                await books.commit(reserve("r", account, 1, budgets=(DAY,), enforced=False))
        assert await books.account(DAY.id) is None

    @pytest.mark.parametrize(
        ("change", "error"),
        [
            (reserve("x", "a", 1, budgets=(Budget("a", 9),)), ConflictError),
            (reserve("x", "a", 1, budgets=(Budget("b", 9),)), ConflictError),
            (reserve("x", "a", 1, budgets=(TOTAL, DAY, TOTAL)), ValueError),
            (reserve("x", "a", 1, budgets=(Budget("new", -1),)), ValueError),
            (reserve("x", "a", 1, budgets=(Budget("new", MAX_COUNT + 1),)), ValueError),
            (reserve("x", "a", 1, budgets=(Budget("new", 9, -1),)), ValueError),
            (reserve("x", "a", 1, budgets=(Budget("new", 9, 2**63),)), ValueError),
            (reserve("x", DAY.id, 1), ConflictError),
            (OpenAccount(DAY.id, 5), ConflictError),
            (OpenAccount("child", 5, DAY.id), ConflictError),
            (CloseAccount(DAY.id), ConflictError),
        ],
    )  # fmt: skip
    async def test_accounts_and_counters_do_not_stand_in_for_each_other(
        self, books: Books, change: Change, error: type[Exception]
    ) -> None:
        await books.commit(OpenAccount("a", 100), OpenAccount("b", 100))
        await books.commit(reserve("r", "a", 1, budgets=(DAY,)))
        with pytest.raises(error):
            await books.commit(append(), change, append())
        assert await counters(books, DAY) == [(0, 1)]
        assert await money(books, "a") == (0, 1)
        assert [account.id for account in await books.budget_accounts(0)] == [DAY.id]
        assert await books.head() == TreeHead(0, root_of([]))
        assert await books.audit_ledger() == []

    async def test_the_counters_of_budgets_are_listed_by_name(self, books: Books) -> None:
        await books.commit(OpenAccount("key/k1", 100), OpenAccount("run/1", 50, "key/k1"))
        await books.commit(reserve("r", "run/1", 1, budgets=ALL), settle("r", 1))
        assert await books.budget_accounts(0) == [
            Account("all/total", None, 10_000, 1, 0, counter=True),
            Account("tag/ci/day/1970-01-02", None, 100, 1, 0, counter=True, resets_s=172_800),
            Account("team/lab/month/1970-01", None, 1_000, 1, 0, counter=True, resets_s=2_678_400),
        ]

    async def test_a_counter_is_listed_until_the_second_in_which_its_period_ends(self, books: Books) -> None:
        await books.commit(OpenAccount("a", None), reserve("r", "a", 1, budgets=ALL))
        for now_s, current in (
            (0, {TOTAL.id, DAY.id, MONTH.id}),
            (172_799, {TOTAL.id, DAY.id, MONTH.id}),
            (172_800, {TOTAL.id, MONTH.id}),
            (2_678_399, {TOTAL.id, MONTH.id}),
            (2_678_400, {TOTAL.id}),
            (MAX_COUNT, {TOTAL.id}),
        ):
            assert {account.id for account in await books.budget_accounts(now_s)} == current
        await books.commit(settle("r", 1))  # what is past still moves, and stays past
        assert await counters(books, *ALL) == [(1, 0)] * 3
        assert [account.id for account in await books.budget_accounts(MAX_COUNT)] == [TOTAL.id]

    async def test_of_more_tags_than_anybody_named_the_fullest_budgets_are_listed(self, books: Books) -> None:
        """Whoever sends a new tag with each call makes nobody's list longer, and hides no other budget."""
        await books.commit(OpenAccount("a", None), reserve("r", "a", 90, budgets=ALL))
        tags = [Budget(f"tag/t{n:02}/total", 10_000) for n in range(20)]
        await books.commit(
            *(reserve(f"r{n}", "a", 1 + n, budgets=(one,), tag=f"t{n}") for n, one in enumerate(tags))
        )
        await books.commit(settle("r7", 0), settle("r19", 0))
        for most, fullest in (
            (0, []),
            (1, [DAY]),  # 90 of 100
            (4, [DAY, *tags[16:19]]),
            (99, [DAY, *tags]),
        ):
            listed = [account.id for account in await books.budget_accounts(0, most)]
            assert listed == sorted([TOTAL.id, MONTH.id, *(one.id for one in fullest)])

    async def test_a_storm_on_budgets_that_overlap_ends_with_nothing_held(self, books: Books) -> None:
        await books.commit(OpenAccount("key", 5_000), OpenAccount("run", 2_000, "key"))
        sets = [(DAY,), (MONTH,), (TOTAL,), (DAY, MONTH), (MONTH, TOTAL), ALL, ()]

        async def call(n: int) -> None:
            budgets = sets[n % len(sets)]
            try:
                await books.commit(reserve(f"r{n}", ("key", "run")[n % 2], n % 60, budgets=budgets))
            except BudgetExhaustedError:
                return
            for budget in budgets:
                spent, held = await money(books, budget.id)
                assert spent + held <= budget.limit_usd_micros
            await books.commit(settle(f"r{n}", n % 60 // 2), append(n))

        await asyncio.gather(*(call(n) for n in range(140)))
        await books.commit(CloseAccount("run"))
        for account in [*await books.budget_accounts(0), await books.account("key")]:
            assert account is not None
            assert account.held_usd_micros == 0
            assert account.limit_usd_micros is not None
            assert account.spent_usd_micros <= account.limit_usd_micros
        assert await books.audit_ledger() == []


class OwnershipContract:
    async def test_an_open_reservation_names_its_owner_and_when_it_expires(self, books: Books) -> None:
        await books.commit(OpenAccount("a", 100))
        await books.commit(reserve("r", "a", 7, owner="gateway-2", expires_ns=9_000, team="lab"))
        assert await books.open_reservations() == [
            OpenReservation("r", "a", 7, "alice", "k1", "openai", "small", "", "", 1, "gateway-2", 9_000)
        ]

    async def test_a_settlement_that_must_be_the_first_is_refused_when_it_is_not(self, books: Books) -> None:
        await books.commit(OpenAccount("a", 100), reserve("r1", "a", 7), reserve("r2", "a", 7))
        await books.commit(settle("r1", 3))
        outcomes = await refusals(
            books.commit(settle(name, 7, outcome="unknown", once=True), append())
            for name in ("r1", "r2", "r2", "never")
        )
        assert [type(error) for error in outcomes] == [ConflictError, ConflictError, NotFoundError]
        assert await money(books, "a") == (10, 0)
        assert (await books.head()).size == 1
        await books.commit(settle("r2", 1), append())
        assert await money(books, "a") == (10, 0)


class ReportContract:
    async def spending(self, books: Books) -> None:
        """Three calls of three days (from 1970-01-01), by two principals, teams and providers."""
        await books.commit(OpenAccount("key/k1", 1_000), OpenAccount("key/k2", None))
        await books.commit(
            reserve("r1", "key/k1", 100, model="small", tag="blue", team="lab"),
            reserve("r2", "key/k1", 100, model="large", provider="anthropic", team="lab"),
            reserve("r3", "key/k2", 100, principal="bob", key_id="k2", team="shop"),
            settle("r1", 5, settled_ns=DAY_NS - 1),
            settle("r2", 6, settled_ns=DAY_NS),
            settle("r3", 7, settled_ns=2 * DAY_NS),
        )

    @pytest.mark.parametrize(
        ("by", "spent"),
        [
            ("key", {"k1": 11, "k2": 7}),
            ("principal", {"alice": 11, "bob": 7}),
            ("team", {"lab": 11, "shop": 7}),
            ("model", {"large": 6, "small": 12}),
            ("provider", {"anthropic": 6, "openai": 12}),
            ("tag", {"": 13, "blue": 5}),
            ("day", {"1970-01-01": 5, "1970-01-02": 6, "1970-01-03": 7}),
        ],
    )
    async def test_spending_is_grouped_by_every_word(
        self, books: Books, by: str, spent: dict[str, int]
    ) -> None:
        assert by in USAGE_GROUPS
        await self.spending(books)
        rows = await books.usage(by)
        assert [(row.key, row.usd_micros) for row in rows] == sorted(spent.items())
        assert sum(row.calls for row in rows) == 3

    @pytest.mark.parametrize(
        ("first", "last", "spent"),
        [
            ("", "", 18),
            ("1970-01-02", "", 13),
            ("", "1970-01-02", 11),
            ("1970-01-02", "1970-01-02", 6),
            ("1970-01-03", "1970-01-02", 0),
            ("1980-01-01", "", 0),
        ],
    )
    async def test_spending_is_bounded_by_days_both_inclusive(
        self, books: Books, first: str, last: str, spent: int
    ) -> None:
        await self.spending(books)
        for by in USAGE_GROUPS:
            rows = await books.usage(by, first_day=first, last_day=last)
            assert sum(row.usd_micros for row in rows) == spent
        (alice,) = await books.usage("principal", principal="alice") or [None]
        assert alice is not None
        bounded = await books.usage("principal", principal="alice", first_day=first, last_day=last)
        assert sum(row.usd_micros for row in bounded) == {18: 11, 13: 6, 11: 11, 6: 6, 0: 0}[spent]

    @pytest.mark.parametrize("day", ["yesterday", "1970-1-2", "1970-01-32", "19700102", "1970-01-02' OR 1"])
    async def test_a_day_that_is_none_is_refused(self, books: Books, day: str) -> None:
        for bounds in ({"first_day": day}, {"last_day": day}):
            with pytest.raises(ValueError):
                await books.usage("model", **bounds)
        with pytest.raises(ValueError):
            await books.daily_usage("openai", day, "1970-01-02")

    async def test_a_providers_spending_is_told_by_day_and_model(self, books: Books) -> None:
        await self.spending(books)
        await books.commit(
            reserve("r4", "key/k2", 9, key_id="k2", tag="red"), settle("r4", 9, settled_ns=2 * DAY_NS)
        )
        assert await books.daily_usage("openai", "1970-01-01", "1970-01-03") == [
            DailyUsage("1970-01-01", "small", 1, 10, 20, 5),
            DailyUsage("1970-01-03", "small", 2, 20, 40, 16),
        ]
        assert await books.daily_usage("anthropic", "1970-01-02", "1970-01-02") == [
            DailyUsage("1970-01-02", "large", 1, 10, 20, 6)
        ]
        assert await books.daily_usage("openai", "1970-01-02", "1970-01-02") == []
        assert await books.daily_usage("nobody", "1970-01-01", "1970-01-03") == []

    async def test_a_runs_usage_is_told_by_model(self, books: Books) -> None:
        await books.commit(OpenAccount("a", None), reserve("r0", "a", 1), settle("r0", 1))
        for name, model in (("r1", "small"), ("r2", "large"), ("r3", "small"), ("r4", "large")):
            await books.commit(reserve(name, "a", 9, model=model, run_id="run-1"))
        await books.commit(*(settle(name, 4) for name in ("r1", "r2", "r3")))
        assert await books.run_usage("run-1") == [
            UsageRow("large", 1, 10, 20, 4, 0, None),
            UsageRow("small", 2, 20, 40, 8, 0, None),
        ]
        assert await books.run_usage("run-2") == []
        assert await books.run_usage("") == []

    async def test_recent_calls_are_those_made_since_open_or_settled(self, books: Books) -> None:
        await books.commit(OpenAccount("a", None))
        await books.commit(
            reserve("old", "a", 1, created_ns=99),
            reserve("first", "a", 1, created_ns=100, provider="anthropic", model="large"),
            reserve("third", "a", 1, created_ns=300),
            reserve("second", "a", 1, created_ns=200),
            settle("old", 1, settled_ns=400),
            settle("second", 1, settled_ns=500),
            settle("first", 1, settled_ns=600),
        )
        assert await books.recent_calls(100) == [
            RecentCall("anthropic", "large", 100, 30),
            RecentCall("openai", "small", 200, 30),
            RecentCall("openai", "small", 300, None),
        ]
        assert await books.recent_calls(301) == []
