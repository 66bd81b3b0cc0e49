"""What the books say at a scrape: every budget that is in force, and no caller's word."""

from tests.services.spending.test_report_usage import DAY_S, Spending

from macroslow.services.spending.read_figures import BudgetFill, ReadFigures
from macroslow.web.book_metrics import BookMetrics


async def test_every_budget_is_told_with_what_is_spent_and_held() -> None:
    house = Spending()
    ann = await house.principal("ann", team="lab", budget_usd_micros=300, day_usd_micros=200)
    await house.principal("free")
    await house.call(ann, 70, tag="ci")
    await house.call(ann, 30, settle=False)
    figures = await ReadFigures(house.books, house.clock, {"ci"})()
    told = {(one.scope, one.name, one.period): one for one in figures.budgets}
    assert told.keys() == {
        ("key", ann.key_id, "total"),
        ("key", ann.key_id, "day"),
        ("team", "lab", "day"),
        ("tag", "ci", "day"),
        ("all", "", "total"),
    }
    assert told["key", ann.key_id, "total"] == BudgetFill("key", ann.key_id, "total", 300, 70, 30)
    assert told["key", ann.key_id, "day"] == BudgetFill("key", ann.key_id, "day", 200, 70, 30)
    assert figures.open_reservations == 1
    assert [(row.key, row.usd_micros) for row in figures.by_model] == [("small", 70)]


async def test_a_tag_that_the_operator_did_not_name_is_not_told() -> None:
    house = Spending()
    ann = await house.principal("ann", team="lab")
    await house.call(ann, 70, tag="ci")
    figures = await ReadFigures(house.books, house.clock)()
    assert [one.name for one in figures.budgets if one.scope == "tag"] == [""]


async def test_a_new_tag_with_every_call_makes_no_new_metric() -> None:
    house = Spending()
    ann = await house.principal("ann", team="lab")
    lines = set()
    for n in range(12):
        await house.call(ann, 1, tag=f"made-up-{n}")
        figures = await ReadFigures(house.books, house.clock, {"ci"})()
        families = BookMetrics(figures).collect()
        samples = [sample for family in families for sample in family.samples]
        lines.add(len(samples))
        assert not any("made-up" in value for sample in samples for value in sample.labels.values())
    assert len(lines) == 1


async def test_yesterdays_counters_are_told_no_more() -> None:
    house = Spending()
    ann = await house.principal("ann", team="lab")
    await house.call(ann, 70)
    house.clock.time_ns = DAY_S * 10**9
    figures = await ReadFigures(house.books, house.clock)()
    assert {one.period for one in figures.budgets} == {"total"}


async def test_empty_books_say_nothing() -> None:
    house = Spending()
    figures = await ReadFigures(house.books, house.clock)()
    assert (list(figures.by_model), list(figures.budgets), figures.open_reservations) == ([], [], 0)
