"""Runs of the dead are closed once, with their account; those of the living stay theirs."""

import asyncio

import orjson
import pytest
from tests.contract.changes import accept, append, money, reserve, settle
from tests.contract.fake_books import FakeBooks
from tests.services.calls.test_reap_reservations import Clock, reaper

from macroslow.errors import ConflictError, LogUnavailableError
from macroslow.metering.ledger import CloseAccount, OpenAccount
from macroslow.services.documents import interrupt_runs
from macroslow.services.documents.interrupt_runs import InterruptRuns
from macroslow.tlog.event import EventType
from macroslow.tlog.ports import Entry
from macroslow.workflow.books import Change
from macroslow.workflow.journal import FinishRun, RunEvent, RunState

SELF = "self"


class RacedBooks(FakeBooks):
    """The run's owner ends it just before anybody else does."""

    quicker: str | None = None

    async def commit(self, *changes: Change) -> list[Entry]:
        await asyncio.sleep(0)
        ends = {change.id for change in changes if isinstance(change, FinishRun)}
        if self.quicker in ends:
            self.quicker = None
            self._apply([FinishRun(ends.pop(), RunEvent.SUCCEEDED, 9), append()])
        return await super().commit(*changes)


@pytest.fixture
async def books() -> RacedBooks:
    made = RacedBooks()
    await made.commit(OpenAccount("a", 10_000))
    return made


async def begin(books: FakeBooks, run_id: str, owner: str, *, limit: int | None = 1_000) -> None:
    """Accept a run of alice's, with an account that holds its limit in \"a\"."""
    opening = [] if limit is None else [OpenAccount(f"run/{run_id}", limit, parent="a")]
    await books.commit(*opening, accept(run_id, owner=owner), append())


def interrupter(books: FakeBooks, *living: str, mine: frozenset[str] = frozenset()) -> InterruptRuns:
    async def alive(owner: str) -> bool:
        return owner in living

    return InterruptRuns(books, Clock(), alive, SELF, mine)


async def states(books: FakeBooks) -> dict[str, RunState]:
    return {run.id: run.state for run in await books.runs(None)}


async def test_a_run_of_the_dead_is_interrupted_and_its_callers_budget_is_free_again(books) -> None:
    await begin(books, "run-1", "dead")
    await begin(books, "run-2", "alive")
    assert await money(books, "a") == (0, 2_000)
    assert await interrupter(books, "alive")() == 1
    assert await states(books) == {"run-1": RunState.INTERRUPTED, "run-2": RunState.RUNNING}
    assert await money(books, "a") == (0, 1_000)
    *_, entry = await books.entries(0, 9)
    assert (entry.type, entry.subject) == (EventType.RUN_INTERRUPTED, "alice")
    assert orjson.loads(entry.event or b"")["fields"] == {
        "run_id": "run-1", "principal": "alice", "document_sha256": "ab" * 32, "status": "interrupted",
    }  # fmt: skip
    assert await interrupter(books, "alive")() == 0
    assert (await books.head()).size == 3


async def test_its_calls_are_charged_in_full_and_only_the_rest_comes_back(books) -> None:
    await begin(books, "run-1", "dead")
    await books.commit(reserve("r1", "run/run-1", 70, owner="dead", run_id="run-1"))
    await books.commit(reserve("r2", "run/run-1", 30, owner="dead", run_id="run-1"), settle("r2", 10))
    assert await interrupter(books)() == 1
    assert await money(books, "a") == (10, 70)
    assert (await reaper(books)()).usd_micros == 70
    assert await money(books, "a") == (80, 0)
    with pytest.raises(ConflictError):  # whatever the dead one's code may still ask
        await books.commit(reserve("r3", "run/run-1", 1, owner="dead", run_id="run-1"))


async def test_a_run_without_an_account_is_closed_too(books) -> None:
    await begin(books, "run-1", "dead", limit=None)
    assert await interrupter(books)() == 1
    assert await states(books) == {"run-1": RunState.INTERRUPTED}


@pytest.mark.parametrize(
    ("owner", "mine", "is_closed"),
    [
        ("alive", False, False),
        ("dead", False, True),
        (SELF, True, False),
        (SELF, False, True),
    ],
)
async def test_the_dead_are_told_by_owner_and_its_own_by_what_is_open(books, owner, mine, is_closed) -> None:
    await begin(books, "run-1", owner)
    interrupt = interrupter(books, "alive", mine=frozenset({"run-1"} if mine else ()))
    assert await interrupt() == int(is_closed)
    assert await money(books, "a") == (0, 0 if is_closed else 1_000)


async def test_a_run_that_its_owner_ends_meanwhile_ended_as_he_said(books) -> None:
    await begin(books, "run-1", "dead")
    books.quicker = "run-1"
    assert await interrupter(books)() == 0
    assert await states(books) == {"run-1": RunState.SUCCESS}
    assert [entry.type for entry in await books.entries(0, 9)].count(EventType.RUN_INTERRUPTED) == 0


async def test_an_end_that_comes_too_late_is_refused_and_changes_nothing(books) -> None:
    await begin(books, "run-1", "dead")
    await interrupter(books)()
    late = (CloseAccount("run/run-1"), FinishRun("run-1", RunEvent.SUCCEEDED, 9), append())
    with pytest.raises(ConflictError):
        await books.commit(*late)
    assert await states(books) == {"run-1": RunState.INTERRUPTED}


async def test_many_processes_close_each_run_once(books) -> None:
    for n in range(6):
        await begin(books, f"run-{n}", "dead")
    closed = await asyncio.gather(*(interrupter(books)() for _ in range(4)))
    assert sum(closed) == 6
    assert (await books.head()).size == 12
    assert await money(books, "a") == (0, 0)


async def test_one_round_is_bounded_and_a_store_that_fails_is_told(books, monkeypatch) -> None:
    monkeypatch.setattr(interrupt_runs, "ROUND", 2)
    for n in range(5):
        await begin(books, f"run-{n}", "dead", limit=None)
    interrupt = interrupter(books)
    books.fail_next_commit = True
    with pytest.raises(LogUnavailableError):
        await interrupt()
    assert [await interrupt() for _ in range(3)] == [2, 2, 0]
    assert set((await states(books)).values()) == {RunState.INTERRUPTED}
