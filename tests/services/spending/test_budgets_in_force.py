"""The budgets in force, as alerts, metrics and reports read them: what is past is asked of no store."""

import pytest
from tests.services.spending.test_report_usage import DAY_S, Spending

from macroslow.authn.keyring import account_of
from macroslow.metering.budgets import CountedSpending, Period, Scope
from macroslow.metering.ledger import OpenAccount
from macroslow.services.spending.budgets_in_force import read_in_force
from macroslow.services.spending.read_figures import BudgetFill, ReadFigures

NS_PER_S = 10**9


@pytest.fixture
def house() -> Spending:
    return Spending()


async def test_every_keys_account_is_there_and_a_budget_is_what_has_a_limit(house: Spending) -> None:
    ann = await house.principal("ann", budget_usd_micros=300)
    free = await house.principal("free")
    await house.books.commit(OpenAccount("operator", 5), OpenAccount("run/1", 50, ann.account))
    found = await read_in_force(house.books, house.clock.now_ns())
    assert found.keys.keys() == {ann.key_id, free.key_id}
    (budget,) = found.budgets
    assert budget.account == found.keys[ann.key_id]
    assert (budget.account.id, budget.limit_usd_micros) == (account_of(ann.key_id), 300)
    assert budget.counted == CountedSpending(Scope.KEY, ann.key_id, Period.TOTAL)


async def test_a_counter_is_in_force_until_its_period_ends(house: Spending) -> None:
    ann = await house.principal("ann", team="a/b", month_usd_micros=900)
    await house.call(ann, 70, tag="ci")
    month = CountedSpending(Scope.KEY, ann.key_id, Period.MONTH)
    lasting = [CountedSpending(Scope.ALL, "", Period.TOTAL), month]
    of_today = [CountedSpending(Scope.TAG, "ci", Period.DAY), CountedSpending(Scope.TEAM, "a/b", Period.DAY)]
    for now_ns, counted in (
        (DAY_S * NS_PER_S - 1, [*lasting, *of_today]),
        (DAY_S * NS_PER_S, lasting),
        (DAY_S * NS_PER_S * 2, lasting[:1]),
    ):
        found = await read_in_force(house.books, now_ns)
        assert [budget.counted for budget in found.budgets] == counted


async def test_metrics_name_the_tags_of_the_operators_rules_alone(house: Spending) -> None:
    ann = await house.principal("ann", team="lab", budget_usd_micros=300)
    await house.call(ann, 70, tag="ci")
    await house.call(ann, 30, tag="whatever", settle=False)
    figures = await ReadFigures(house.books, house.clock, ("ci",))()
    assert figures.budgets == [
        BudgetFill("key", ann.key_id, "total", 300, 70, 30),
        BudgetFill("all", "", "total", 10_000, 70, 30),
        BudgetFill("tag", "ci", "day", 500, 70, 0),
        BudgetFill("tag", "", "day", 500, 0, 30),
        BudgetFill("team", "lab", "day", 1_000, 70, 30),
    ]
    assert [(row.key, row.usd_micros) for row in figures.by_model] == [("small", 70)]
    assert figures.open_reservations == 1
    house.clock.time_ns = DAY_S * NS_PER_S
    later = await ReadFigures(house.books, house.clock, ("ci",))()
    assert [budget.period for budget in later.budgets] == ["total", "total"]
