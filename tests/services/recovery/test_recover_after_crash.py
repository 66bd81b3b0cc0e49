"""After a crash: everything open is closed once, however often recovery itself is killed."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import orjson
import pytest
from tests.adapters.sqlite.support import LabelSealer
from tests.contract.changes import money, reserve

from macroslow.adapters.sqlite import SqliteBooks
from macroslow.adapters.system import SystemClock, SystemEntropy
from macroslow.errors import LogUnavailableError
from macroslow.metering.ledger import Budget, OpenAccount
from macroslow.services.recovery.recover_after_crash import RecoverAfterCrash, Recovered
from macroslow.tlog.event import Event, EventType
from macroslow.tlog.ports import Append, Entry
from macroslow.workflow.books import Change
from macroslow.workflow.journal import AcceptRun, RunState

CALLS = 3
CLOCK = SystemClock()
BUDGETS = (Budget("all/total", 10**9), Budget("principal/ann/total", 10**9))


class MortalBooks(SqliteBooks):
    """Books on a real file that take so many commits more, then none."""

    left: int | None = None

    async def commit(self, *changes: Change) -> list[Entry]:
        if self.left is not None:
            if self.left == 0:
                raise LogUnavailableError("no space left")
            self.left -= 1
        return await super().commit(*changes)


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[MortalBooks]:
    books = await MortalBooks.open(
        folder / "books.sqlite",
        sealer=LabelSealer(),
        entropy=SystemEntropy(),
        clock=CLOCK,
        commit_window_ns=0,
    )
    try:
        yield books
    finally:
        await books.close()


async def leave_open(books: SqliteBooks) -> None:
    """What a gateway that is killed in the middle of its work leaves."""
    now_ns = CLOCK.now_ns()
    await books.commit(OpenAccount("key/ann", None))
    for number in range(2):
        run_id = f"run{number}"
        await books.commit(
            OpenAccount(f"run/{run_id}", 10_000, "key/ann"),
            AcceptRun(run_id, "ann", now_ns, "00" * 32, 5, "agent://tester", None, "gateway-1"),
            Append(Event(EventType.RUN_ACCEPTED, now_ns, "ann", {"run_id": run_id})),
        )
    owned: Sequence[tuple[str, str]] = (
        ("run/run0", "gateway-1"),
        ("run/run0", "gateway-1"),
        ("key/ann", "gateway-2"),
    )
    for number, (account, owner) in enumerate(owned):
        run_id = "run0" if account.startswith("run/") else ""
        facts = {"principal": "ann", "owner": owner, "expires_ns": now_ns + 10**15, "budgets": BUDGETS}
        await books.commit(reserve(f"call{number}", account, 1000, run_id=run_id, **facts))


async def events(books: SqliteBooks, event_type: EventType) -> list[dict[str, object]]:
    found = await books.entries(0, 1_000)
    return [orjson.loads(one.event or b"")["fields"] for one in found if one.type == event_type]


async def assert_all_closed(books: SqliteBooks) -> None:
    assert await books.open_reservations() == []
    assert await books.open_child_accounts() == []
    assert await books.running() == []
    for account in ("key/ann", *(budget.id for budget in BUDGETS)):
        assert await money(books, account) == (CALLS * 1000, 0)
    assert await books.audit_ledger() == []
    unknown = await events(books, EventType.CHAT_UNKNOWN)
    assert sorted(str(fields["reservation"]) for fields in unknown) == ["call0", "call1", "call2"]
    assert {fields["outcome"] for fields in unknown} == {"unknown"}
    assert [fields["run_id"] for fields in unknown].count("run0") == 2
    interrupted = await events(books, EventType.RUN_INTERRUPTED)
    assert sorted(str(fields["run_id"]) for fields in interrupted) == ["run0", "run1"]
    assert {run.state for run in await books.runs("ann")} == {RunState.INTERRUPTED}


async def test_calls_of_any_owner_are_charged_in_full_and_runs_reported_as_interrupted(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path) as books:
        await leave_open(books)
        assert await RecoverAfterCrash(books, CLOCK, "gateway-3")() == Recovered(CALLS, 2, CALLS * 1000)
        await assert_all_closed(books)
        size = (await books.head()).size
        assert await RecoverAfterCrash(books, CLOCK, "gateway-3")() == Recovered(0, 0, 0)
        assert (await books.head()).size == size


async def test_a_clean_stop_leaves_nothing_to_recover(tmp_path: Path) -> None:
    async with opened(tmp_path) as books:
        assert await RecoverAfterCrash(books, CLOCK, "gateway-3")() == Recovered(0, 0, 0)
        assert (await books.head()).size == 0


async def test_more_than_one_round_of_calls_is_closed(tmp_path: Path) -> None:
    async with opened(tmp_path) as books:
        calls = [reserve(f"call{n}", "key/ann", 2) for n in range(300)]
        await books.commit(OpenAccount("key/ann", None), *calls)
        assert await RecoverAfterCrash(books, CLOCK, "gateway-3")() == Recovered(300, 0, 600)
        assert await money(books, "key/ann") == (600, 0)


@pytest.mark.parametrize("commits", range(7))
async def test_a_recovery_that_dies_between_commits_is_finished_by_the_next(
    tmp_path: Path, commits: int
) -> None:
    async with opened(tmp_path) as books:
        await leave_open(books)
        books.left = commits
        with pytest.raises(LogUnavailableError):
            await RecoverAfterCrash(books, CLOCK, "gateway-3")()
    async with opened(tmp_path) as books:
        await RecoverAfterCrash(books, CLOCK, "gateway-3")()
        await assert_all_closed(books)


def test_the_operator_is_told_of_what_was_open_and_of_nothing_else() -> None:
    assert Recovered(0, 0, 0).notes == ()
    (told,) = Recovered(2, 1, 1_500_000).notes
    assert told == "after a crash: 2 calls charged in full ($1.500000), 1 runs reported as interrupted"
