"""Reports: what was spent and what is left, for the operator of all and for a client of his own."""

import pytest
from tests.services.key_house import KeyHouse

from macroslow.authn.keyring import account_of, principal_of
from macroslow.authn.principal import Principal
from macroslow.errors import BadRequestError
from macroslow.metering.budgets import BudgetRule, Period, Scope, Spender, budgets_of, own_rules
from macroslow.metering.ledger import USAGE_GROUPS, CallOutcome, Reserve, Settle, Usage
from macroslow.services.identity.wished_keys import NewKey
from macroslow.services.spending.report_usage import ReportUsage

RULES = (
    BudgetRule(Scope.TEAM, "*", Period.DAY, 1000),
    BudgetRule(Scope.TAG, "*", Period.DAY, 500),
    BudgetRule(Scope.ALL, "*", Period.TOTAL, 10_000),
)
DAY = "2023-11-14"  # of START_NS
DAY_S = 1_700_006_400  # when it ends


class Spending(KeyHouse):
    def __init__(self) -> None:
        super().__init__()
        self.report = ReportUsage(self.books, RULES, self.clock)
        self.calls = 0

    async def principal(self, name: str, **wished: object) -> Principal:
        created = await self.keys.create(NewKey(name, **wished))  # type: ignore[arg-type]
        return principal_of(created.record)

    async def call(self, who: Principal, usd_micros: int, *, tag: str = "", settle: bool = True) -> None:
        self.calls += 1
        spender = Spender(who.key_id, who.name, who.team, tag)
        now_ns = self.clock.now_ns()
        budgets = budgets_of((*RULES, *own_rules(who)), spender, now_ns)
        name = f"r{self.calls}"
        await self.books.commit(
            Reserve(
                name, who.account, usd_micros, who.name, who.key_id, "openai", "small", now_ns, "me", now_ns,
                tag=tag, team=who.team, budgets=budgets,
            )
        )  # fmt: skip
        if settle:
            await self.books.commit(Settle(name, Usage(10, 5, usd_micros), now_ns, CallOutcome.OK))


@pytest.fixture
def house() -> Spending:
    return Spending()


@pytest.mark.parametrize("group", USAGE_GROUPS)
async def test_spending_is_grouped_by_each_word_and_by_the_days_that_are_asked_for(
    house: Spending, group: str
) -> None:
    ann = await house.principal("ann", team="lab")
    await house.call(ann, 70, tag="ci")
    rows = (await house.report.by(group))["rows"]
    assert sum(row["usd_micros"] for row in rows) == 70  # type: ignore[attr-defined]
    assert {next(iter(row)) for row in rows} == {group}  # type: ignore[attr-defined]
    assert all(("principal" in row) == (group in {"key", "principal"}) for row in rows)  # type: ignore[attr-defined]
    before = (await house.report.by(group, last_day="2023-11-13"))["rows"]
    assert sum(row["usd_micros"] for row in before) == 0  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("group", "first", "last"),
    [
        ("week", "", ""),
        ("day", "yesterday", ""),
        ("day", "2026-1-1", ""),
        ("day", "2026-02-30", ""),
        ("day", "20260101", ""),
        ("day", "2026-01-02", "2026-01-01"),
        ("day", "", "2026-01-01' OR 1=1"),
    ],
)
async def test_what_is_no_group_or_no_day_is_refused(
    house: Spending, group: str, first: str, last: str
) -> None:
    with pytest.raises(BadRequestError):
        await house.report.by(group, first_day=first, last_day=last)


async def test_every_budget_in_use_is_told_with_what_is_left_and_when_it_begins_anew(house: Spending) -> None:
    ann = await house.principal("ann", team="lab", budget_usd_micros=300, day_usd_micros=200)
    await house.principal("free")
    await house.call(ann, 70, tag="ci")
    await house.call(ann, 30, settle=False)
    told = {row["budget"]: row for row in (await house.report.budgets())["budgets"]}  # type: ignore[attr-defined]
    assert told.keys() == {
        account_of(ann.key_id), f"key/{ann.key_id}/day/{DAY}", f"team/lab/day/{DAY}", f"tag/ci/day/{DAY}",
        "all/total",
    }  # fmt: skip
    assert told[account_of(ann.key_id)] == {
        "budget": account_of(ann.key_id),
        "limit_usd_micros": 300,
        "spent_usd_micros": 70,
        "held_usd_micros": 30,
        "left_usd_micros": 200,
        "resets_at": None,
    }
    assert told[f"team/lab/day/{DAY}"]["resets_at"] == "2023-11-15T00:00:00+00:00"
    house.clock.time_ns = DAY_S * 10**9
    later = {row["budget"] for row in (await house.report.budgets())["budgets"]}  # type: ignore[attr-defined]
    assert later == {account_of(ann.key_id), "all/total"}


async def test_a_client_sees_his_own_spending_and_the_budgets_that_bind_him(house: Spending) -> None:
    ann = await house.principal("ann", team="lab", month_usd_micros=900)
    bob = await house.principal("bob", team="lab")
    await house.call(ann, 70, tag="ci")
    await house.call(bob, 400, tag="ci")
    own = await house.report.own(ann)
    assert (own["principal"], own["usd_micros"], own["from"], own["to"]) == ("ann", 70, "2023-11-01", None)
    assert own["by_tag"] == [
        {"tag": "ci", "calls": 1, "input_tokens": 10, "output_tokens": 5, "usd_micros": 70}
    ]
    assert [row["day"] for row in own["by_day"]] == [DAY]  # type: ignore[attr-defined]
    assert {row["budget"]: row["left_usd_micros"] for row in own["budgets"]} == {  # type: ignore[attr-defined]
        f"team/lab/day/{DAY}": 530,
        f"key/{ann.key_id}/month/2023-11": 830,
    }


async def test_budgets_that_nothing_was_held_against_yet_are_told_too(house: Spending) -> None:
    ann = await house.principal("ann", team="lab", budget_usd_micros=5)
    own = await house.report.own(ann)
    assert [(row["budget"], row["left_usd_micros"]) for row in own["budgets"]] == [  # type: ignore[attr-defined]
        (account_of(ann.key_id), 5),
        (f"team/lab/day/{DAY}", 1000),
    ]
    assert own["by_model"] == []


async def test_days_with_one_provider_are_told_for_comparison(house: Spending) -> None:
    ann = await house.principal("ann")
    await house.call(ann, 70)
    rows = (await house.report.days("openai", DAY, DAY))["rows"]
    assert rows == [
        {"day": DAY, "model": "small", "calls": 1, "input_tokens": 10, "output_tokens": 5, "usd_micros": 70}
    ]
    assert (await house.report.days("other", DAY, DAY))["rows"] == []
