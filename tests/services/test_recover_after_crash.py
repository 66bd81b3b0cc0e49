"""After a crash: everything open is closed once, however often recovery itself is killed."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.services.house import ANN, CLOCK, House, Keys, open_house

from macroslow.errors import LogUnavailableError
from macroslow.metering.ledger import OpenAccount, Reserve
from macroslow.services.recover_after_crash import RecoverAfterCrash, Recovered
from macroslow.tlog.event import Event, EventType
from macroslow.tlog.ports import Append
from macroslow.workflow.books import Change
from macroslow.workflow.journal import AcceptRun, RunState

CALLS = 3


async def leave_open(house: House) -> None:
    """What a gateway that is killed in the middle of its work leaves."""
    now_ns = CLOCK.now_ns()
    for number in range(2):
        run_id = f"run{number}"
        await house.books.commit(
            OpenAccount(f"run/{run_id}", 10_000, ANN.account),
            AcceptRun(run_id, "ann", now_ns, "00" * 32, 5, "agent://tester", None),
            Append(Event(EventType.RUN_ACCEPTED, now_ns, "ann", {"run_id": run_id})),
        )
    for number, account in enumerate(["run/run0", "run/run0", ANN.account]):
        run_id = "run0" if account.startswith("run/") else ""
        await house.books.commit(
            Reserve(f"call{number}", account, 1000, "ann", "ann0", "openai", "gpt-4o", now_ns, "", run_id)
        )


async def assert_all_closed(house: House) -> None:
    assert await house.books.open_reservations() == []
    assert await house.books.open_child_accounts() == []
    assert await house.books.running() == []
    account = await house.books.account(ANN.account)
    assert (account.spent_usd_micros, account.held_usd_micros) == (CALLS * 1000, 0)
    assert await house.books.audit_ledger() == []
    unknown = await house.events(EventType.CHAT_UNKNOWN)
    assert sorted(str(fields["reservation"]) for fields in unknown) == ["call0", "call1", "call2"]
    assert {fields["outcome"] for fields in unknown} == {"unknown"}
    assert [fields["run_id"] for fields in unknown].count("run0") == 2
    interrupted = await house.events(EventType.RUN_INTERRUPTED)
    assert sorted(str(fields["run_id"]) for fields in interrupted) == ["run0", "run1"]
    assert {run.state for run in await house.books.runs("ann")} == {RunState.INTERRUPTED}


async def test_calls_are_charged_in_full_and_runs_reported_as_interrupted(tmp_path: Path) -> None:
    async with open_house(tmp_path) as house:
        await leave_open(house)
        assert await RecoverAfterCrash(house.books, CLOCK)() == Recovered(CALLS, 2, CALLS * 1000)
        await assert_all_closed(house)
        size = (await house.books.head()).size
        assert await RecoverAfterCrash(house.books, CLOCK)() == Recovered(0, 0, 0)
        assert (await house.books.head()).size == size


async def test_a_clean_stop_leaves_nothing_to_recover(tmp_path: Path) -> None:
    async with open_house(tmp_path) as house:
        assert await RecoverAfterCrash(house.books, CLOCK)() == Recovered(0, 0, 0)
        assert (await house.books.head()).size == 0


@pytest.mark.parametrize("killed_before", range(7))
async def test_a_recovery_that_dies_between_commits_is_finished_by_the_next(tmp_path, killed_before) -> None:
    keys = Keys.new()
    async with open_house(tmp_path, keys=keys) as house:
        await leave_open(house)
        left = [None] * killed_before

        def dies(_: Sequence[Change]) -> bool:
            return not left or left.pop() is not None

        house.books.fails = dies
        with pytest.raises(LogUnavailableError):
            await RecoverAfterCrash(house.books, CLOCK)()
    async with open_house(tmp_path, keys=keys) as again:
        await RecoverAfterCrash(again.books, CLOCK)()
        await assert_all_closed(again)
