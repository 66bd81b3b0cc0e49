"""The loop that looks after what the dead left: calls first, then runs, through failures and for ever."""

import asyncio

import pytest
from tests.contract.changes import accept, append, money, reserve
from tests.services.calls.test_reap_reservations import Clock, books_with, reaper

from macroslow.metering.ledger import OpenAccount
from macroslow.services.calls import reap_reservations
from macroslow.services.documents.interrupt_runs import InterruptRuns
from macroslow.services.recovery import reap_the_dead
from macroslow.services.recovery.reap_the_dead import ReapTheDead


class Interrupted(BaseException):
    """Ends a loop that never ends."""


async def nobody(_: str) -> bool:
    return False


async def test_the_loop_goes_on_through_failures_and_rests_only_when_a_round_was_small(monkeypatch) -> None:
    for module in (reap_reservations, reap_the_dead):
        monkeypatch.setattr(module, "ROUND", 4)
    books = await books_with(
        *(reserve(f"r{n}", "a", 5, owner="dead") for n in range(10)),
        OpenAccount("run/run-1", 1_000, parent="a"),
        accept("run-1", owner="dead"),
        append(),
    )
    books.fail_next_commit = True
    rests: list[tuple[int, int]] = []
    sleep = asyncio.sleep

    async def rest(delay_s: float) -> None:
        if delay_s:
            rests.append((len(await books.open_reservations()), len(await books.running())))
            if len(rests) == 2:
                raise Interrupted
        await sleep(0)

    monkeypatch.setattr(asyncio, "sleep", rest)
    reap = ReapTheDead(reaper(books), InterruptRuns(books, Clock(), nobody, "self"))
    with pytest.raises(Interrupted):
        await reap.run(interval_ns=5)
    assert rests == [(7, 1), (0, 0)], "one rest after the failure, then none between full rounds"
    assert await money(books, "a") == (50, 0)
