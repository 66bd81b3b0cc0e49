"""Reservations of the dead are charged in full, once, whoever else is at it; the living keep theirs."""

import asyncio

import orjson
import pytest
from tests.contract.changes import append, money, reserve, settle
from tests.contract.fake_books import FakeBooks

from macroslow.errors import LogUnavailableError
from macroslow.metering.ledger import Budget, OpenAccount, Settle
from macroslow.services.calls import reap_reservations
from macroslow.services.calls.reap_reservations import Reaped, ReapReservations
from macroslow.tlog.event import EventType
from macroslow.tlog.ports import Entry
from macroslow.workflow.books import Change

NOW_NS = 1_000
DAY = Budget("all/day/1970-01-01", 1_000, 86_400)


class Clock:
    def now_ns(self) -> int:
        return NOW_NS

    def monotonic_ns(self) -> int:
        return NOW_NS


class WatchedBooks(FakeBooks):
    """Calls `before` ahead of each settlement; a commit takes a turn of the loop."""

    before = staticmethod(lambda _: None)
    most_at_once = 0
    _under_way = 0

    async def commit(self, *changes: Change) -> list[Entry]:
        self._under_way += 1
        self.most_at_once = max(self.most_at_once, self._under_way)
        try:
            await asyncio.sleep(0)
            for change in changes:
                if isinstance(change, Settle):
                    self.before(change)
            return await super().commit(*changes)
        finally:
            self._under_way -= 1


async def books_with(*changes: Change) -> WatchedBooks:
    books = WatchedBooks()
    await books.commit(OpenAccount("a", 10_000), *changes)
    return books


def reaper(books: FakeBooks, *living: str) -> ReapReservations:
    async def alive(owner: str) -> bool:
        return owner in living

    return ReapReservations(books, Clock(), alive)


async def test_what_a_dead_owner_left_is_charged_in_full_in_account_and_budgets() -> None:
    books = await books_with(
        reserve("r1", "a", 70, owner="dead", budgets=(DAY,), tag="blue", run_id="run-1"),
        reserve("r2", "a", 30, owner="alive", budgets=(DAY,)),
        reserve("r3", "a", 9, owner="alive"),
    )
    assert await reaper(books, "alive")() == Reaped(1, 70)
    assert await money(books, "a") == (70, 39)
    assert await money(books, DAY.id) == (70, 30)
    assert [held.id for held in await books.open_reservations()] == ["r2", "r3"]
    (entry,) = await books.entries(0, 9)
    assert (entry.type, entry.subject) == (EventType.CHAT_UNKNOWN, "alice")
    assert orjson.loads(entry.event or b"")["fields"] == {
        "reservation": "r1", "principal": "alice", "key_id": "k1", "provider": "openai", "model": "small",
        "run_id": "run-1", "tag": "blue", "usd_micros": 70, "outcome": "unknown",
    }  # fmt: skip
    assert await reaper(books, "alive")() == Reaped(0, 0)
    assert (await books.head()).size == 1


@pytest.mark.parametrize(
    ("owner", "expires_ns", "is_closed"),
    [
        ("alive", NOW_NS + 1, False),
        ("alive", NOW_NS, True),
        ("dead", NOW_NS + 1, True),
        ("dead", NOW_NS, True),
    ],
)
async def test_the_dead_are_told_by_owner_and_time(owner, expires_ns, is_closed) -> None:
    books = await books_with(reserve("r", "a", 5, owner=owner, expires_ns=expires_ns))
    reaped = await reaper(books, "alive")()
    assert reaped == (Reaped(1, 5) if is_closed else Reaped(0, 0))
    assert await money(books, "a") == ((5, 0) if is_closed else (0, 5))


async def test_a_call_that_its_owner_settles_meanwhile_is_charged_its_true_cost_and_logged_once() -> None:
    books = await books_with(reserve("r1", "a", 70, owner="dead"), reserve("r2", "a", 70, owner="dead"))

    def owner_is_quicker(change: Settle) -> None:
        if change.outcome == "unknown" and change.id == "r1":
            books._apply([settle("r1", 3), append()])

    books.before = owner_is_quicker  # type: ignore[method-assign]
    assert await reaper(books)() == Reaped(1, 70)
    assert await money(books, "a") == (73, 0)
    assert (await books.head()).size == 2


async def test_many_reapers_close_each_reservation_once() -> None:
    books = await books_with(*(reserve(f"r{n}", "a", 2, owner="dead") for n in range(20)))
    reaped = await asyncio.gather(*(reaper(books)() for _ in range(4)))
    assert sum(each.calls for each in reaped) == 20
    assert await money(books, "a") == (40, 0)
    assert (await books.head()).size == 20


async def test_a_late_settlement_of_a_reaped_call_changes_no_money() -> None:
    books = await books_with(reserve("r", "a", 70, owner="slow", expires_ns=NOW_NS))
    await reaper(books, "slow")()
    await books.commit(settle("r", 3), append())
    assert await money(books, "a") == (70, 0)


async def test_one_round_is_bounded_and_the_next_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reap_reservations, "ROUND", 8)
    calls = [reserve(f"r{n:02}", "a", 1, owner="dead", created_ns=n) for n in range(20)]
    books = await books_with(*calls)
    reap = reaper(books)
    assert [(await reap()).calls for _ in range(4)] == [8, 8, 4, 0]
    assert books.most_at_once == 8
    entries = await books.entries(0, 20)
    assert [entry.index for entry in entries] == list(range(20))


async def test_a_store_that_fails_is_told_to_the_caller_and_nothing_is_half_done() -> None:
    books = await books_with(*(reserve(f"r{n}", "a", 5, owner="dead") for n in range(3)))
    books.fail_next_commit = True
    with pytest.raises(LogUnavailableError):
        await reaper(books)()
    assert (await books.head()).size == 3 - len(await books.open_reservations()) == 2
    assert await reaper(books)() == Reaped(1, 5)
    assert await money(books, "a") == (15, 0)
