"""Alerts: each share of each budget once, over restarts and between processes, and in the log first."""

import asyncio
import json
from pathlib import Path

import pytest
from tests.services.house import CLOCK, _any_keys, open_house
from tests.services.spending.test_report_usage import DAY, DAY_S, Spending

from macroslow.authn.keyring import account_of, principal_of
from macroslow.authn.principal import Principal
from macroslow.errors import BudgetExhaustedError, LogUnavailableError
from macroslow.metering.ledger import Budget, CallOutcome, OpenAccount, Reserve, Settle, Usage
from macroslow.ports import HOUR_NS
from macroslow.services.alerts.send_alerts import Message
from macroslow.services.identity.wished_keys import KeyTerms, NewKey
from macroslow.services.spending import watch_budgets
from macroslow.services.spending.watch_budgets import BUDGET, REFUSED, RISE, WatchBudgets, reached
from macroslow.tlog.event import EventType

DOLLAR = 1_000_000


class Outlet:
    def __init__(self) -> None:
        self.sent: list[Message] = []

    def send(self, message: Message) -> None:
        self.sent.append(message)


class Watched(Spending):
    def __init__(self) -> None:
        super().__init__()
        self.outlet = Outlet()
        self.watch = self.another()

    def another(self) -> WatchBudgets:
        """Another process, or this one after a restart."""
        return WatchBudgets(
            self.books, self.keyring, self.clock, self.outlet,
            gateway="edge", at_percent=(50, 80, 100), sudden_rise=4.0,
        )  # fmt: skip

    async def told(self) -> list[tuple[object, object]]:
        """Budget and share of every alert of one look."""
        return [(alert.facts["budget"], alert.facts["percent"]) for alert in await self.watch.look()]


def exhausted(budget: str, limit_usd_micros: int) -> BudgetExhaustedError:
    return BudgetExhaustedError(
        "no room",
        budget=budget,
        limit_usd_micros=limit_usd_micros,
        spent_usd_micros=980,
        held_usd_micros=0,
        needed_usd_micros=50,
    )


@pytest.fixture
def house() -> Watched:
    return Watched()


@pytest.mark.parametrize(
    ("limit", "spent", "percent"),
    [(100, 49, None), (100, 50, 50), (100, 79, 50), (100, 80, 80), (100, 100, 100), (100, 999, 100),
     (0, 5, None), (3, 1, None), (3, 2, 50), (2**53 - 1, 2**52, 50)],
)  # fmt: skip
def test_the_highest_share_that_is_reached(limit: int, spent: int, percent: int | None) -> None:
    assert reached(spent, limit, (100, 80, 50)) == percent


async def test_each_share_is_told_once(house: Watched) -> None:
    ann = await house.principal("ann", budget_usd_micros=1000)
    account = account_of(ann.key_id)
    told = []
    for spent in (499, 1, 0, 290, 10, 100, 100):
        await house.call(ann, spent)
        told += await house.told()
        assert await house.told() == []
    assert told == [(account, 50), (account, 80), (account, 100)]
    assert house.watch.raised == {BUDGET: 3, REFUSED: 0, RISE: 0}


async def test_a_budget_that_refuses_with_money_left_is_told_once_for_its_limit(house: Watched) -> None:
    ann = await house.principal("ann", budget_usd_micros=1000)
    await house.call(ann, 980)
    await house.told()
    told = []
    for limit in (1000, 1000, 1010):
        await house.books.commit(OpenAccount(account_of(ann.key_id), limit))
        for watch in (house.watch, house.watch, house.another()):
            watch.refused(exhausted(account_of(ann.key_id), limit))
            told += [alert.facts for alert in await watch.look() if alert.kind == REFUSED]
    assert [(one["limit_usd_micros"], one["needed_usd_micros"]) for one in told] == [(1000, 50), (1010, 50)]
    sent = [json.loads(message.body) for message in house.outlet.sent]
    assert [one["data"]["spent_usd_micros"] for one in sent if one["type"] == REFUSED] == [980, 980]


async def test_a_budget_that_is_not_in_force_any_more_is_not_told_to_have_refused(house: Watched) -> None:
    house.watch.refused(exhausted("run/r1", 10))
    assert await house.watch.look() == []
    assert house.watch.raised[REFUSED] == 0


async def test_who_refuses_more_than_can_be_told_holds_no_more_memory(house: Watched) -> None:
    for number in range(2 * watch_budgets.MAX_REFUSED):
        house.watch.refused(exhausted(f"tag/t{number}/day/2026-01-31", 10))
    assert len(house.watch._refused) == watch_budgets.MAX_REFUSED


async def test_what_is_passed_over_in_one_step_is_not_told_after(house: Watched) -> None:
    ann = await house.principal("ann", budget_usd_micros=1000)
    await house.call(ann, 1000)
    assert await house.told() == [(account_of(ann.key_id), 100)]


async def test_the_log_says_who_and_how_much_and_the_message_the_same(house: Watched) -> None:
    ann = await house.principal("ann", budget_usd_micros=1000)
    await house.call(ann, 600)
    await house.call(ann, 50, settle=False)
    await house.watch.look()
    kind, subject, fields = (await house.logged())[-1]
    assert (kind, subject) == (EventType.BUDGET_ALERT, "ann")
    facts = {
        "budget": account_of(ann.key_id),
        "percent": 50,
        "limit_usd_micros": 1000,
        "spent_usd_micros": 600,
        "held_usd_micros": 50,
        "resets_at": None,
    }
    assert fields == {"kind": BUDGET, **facts}
    (message,) = house.outlet.sent
    body = json.loads(message.body)
    assert body == {
        "type": BUDGET,
        "timestamp": "2023-11-14T22:13:20+00:00",
        "data": {"gateway": "edge", **facts},
    }
    assert message.id.startswith("alert_")
    assert "." not in message.id


async def test_counters_of_teams_and_tags_are_told_too_and_each_day_anew(house: Watched) -> None:
    ann = await house.principal("ann", team="lab")
    await house.call(ann, 500, tag="ci")
    assert await house.told() == [(f"tag/ci/day/{DAY}", 100), (f"team/lab/day/{DAY}", 50)]
    house.clock.time_ns = DAY_S * 10**9
    assert await house.told() == []
    await house.call(ann, 500)
    assert await house.told() == [("team/lab/day/2023-11-15", 50)]


async def test_a_restart_repeats_nothing_and_two_processes_tell_once(house: Watched) -> None:
    ann = await house.principal("ann", budget_usd_micros=1000)
    await house.call(ann, 500)
    watchers = [house.another() for _ in range(3)]
    told = await asyncio.gather(*(watcher.look() for watcher in watchers))
    assert sum(map(len, told)) == 1
    assert await house.another().look() == []
    assert len(house.outlet.sent) == 1


async def test_a_raised_limit_is_told_of_anew(house: Watched) -> None:
    ann = await house.principal("ann", budget_usd_micros=1000)
    await house.call(ann, 900)
    assert await house.told() == [(account_of(ann.key_id), 80)]
    await house.keys.change(ann.key_id, KeyTerms(budget_usd_micros=5000))
    assert await house.told() == []
    await house.call(ann, 3200)
    assert await house.told() == [(account_of(ann.key_id), 80)]


async def test_what_cannot_be_logged_is_not_sent_and_told_later(house: Watched) -> None:
    ann = await house.principal("ann", budget_usd_micros=1000)
    await house.call(ann, 500)
    house.books.fail_next_commit = True
    with pytest.raises(LogUnavailableError):
        await house.watch.look()
    assert house.outlet.sent == []
    assert await house.told() == [(account_of(ann.key_id), 50)]


async def test_it_goes_on_watching_when_the_books_were_down(house: Watched, monkeypatch) -> None:
    monkeypatch.setattr(watch_budgets, "LOOK_EVERY_S", 0)
    ann = await house.principal("ann", budget_usd_micros=1000)
    await house.call(ann, 500)
    house.books.fail_next_commit = True
    running = asyncio.create_task(house.watch.run())
    while not house.outlet.sent:
        await asyncio.sleep(0)
    running.cancel()


async def test_spending_of_the_operator_is_no_keys(house: Watched) -> None:
    await house.books.commit(OpenAccount("operator", 5))
    assert await house.watch.look() == []


async def spend(house: Watched, who: Principal, usd_micros: int) -> None:
    """A call that no budget bounds."""
    house.calls += 1
    name, now_ns = f"free{house.calls}", house.clock.now_ns()
    reserve = Reserve(
        name, who.account, usd_micros, who.name, who.key_id, "openai", "small", now_ns, "me", now_ns
    )
    await house.books.commit(reserve, Settle(name, Usage(1, 1, usd_micros), now_ns, CallOutcome.OK))


async def test_an_hour_that_costs_too_much_is_told_once_a_day(house: Watched) -> None:
    ann = await house.principal("ann")
    for _ in range(4):
        await spend(house, ann, 8 * DOLLAR)
        house.clock.time_ns += 24 * HOUR_NS
    assert await house.watch.look() == []
    await spend(house, ann, 4 * DOLLAR)
    assert await house.watch.look() == []
    await spend(house, ann, 1)
    (alert,) = await house.watch.look()
    assert (alert.kind, alert.subject) == (RISE, "ann")
    assert alert.facts["hour_usd_micros"] == 4 * DOLLAR + 1
    assert alert.facts["usual_usd_micros"] == DOLLAR
    restarted = house.another()
    await restarted.look()
    await spend(house, ann, 9 * DOLLAR)
    assert await restarted.look() == await house.watch.look() == []
    house.clock.time_ns += 24 * HOUR_NS
    await house.watch.look()
    await spend(house, ann, 60 * DOLLAR)
    assert [alert.kind for alert in await house.watch.look()] == [RISE]
    assert house.watch.raised == {BUDGET: 0, REFUSED: 0, RISE: 2}


async def test_a_new_key_that_spends_at_once_is_no_rise(house: Watched) -> None:
    ann = await house.principal("ann")
    await house.watch.look()
    await spend(house, ann, 1000 * DOLLAR)
    assert await house.watch.look() == []


async def test_on_a_real_store_a_restart_repeats_nothing(tmp_path: Path) -> None:
    keys = _any_keys()
    told = []
    for _ in range(2):
        async with open_house(tmp_path, keys=keys) as house:
            if not told:
                ann = principal_of((await house.keys.create(NewKey("ann", budget_usd_micros=1000))).record)
                day = Budget("tag/ci/day/2999-01-01", 1000, 32_472_230_400)
                reserve = Reserve(
                    "r", ann.account, 900, "ann", ann.key_id, "openai", "small", 1, "me", 2, budgets=(day,)
                )
                await house.books.commit(reserve, Settle("r", Usage(1, 1, 900), 1, CallOutcome.OK))
            else:
                await house.keys.load()
            outlet = Outlet()
            watch = WatchBudgets(
                house.books,
                house.keys._keyring,
                CLOCK,
                outlet,
                gateway="g",
                at_percent=(80,),
                sudden_rise=4.0,
            )
            told.append([alert.facts["budget"] for alert in await watch.look()])
            assert len(outlet.sent) == len(told[-1])
            assert await house.books.audit_ledger() == []
    assert told == [[ann.account, day.id], []]
