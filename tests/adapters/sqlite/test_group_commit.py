"""Group commit by itself, on a transaction that records and can be made to wait."""

import asyncio
import threading
from collections.abc import Sequence

import pytest
from tests.adapters.sqlite.support import SystemClock
from tests.contract.changes import append

from macroslow.adapters.sqlite import _group
from macroslow.adapters.sqlite._group import GroupCommit
from macroslow.errors import ConflictError, LogUnavailableError
from macroslow.ports import HOUR_NS
from macroslow.tlog.ports import Append, Entry, EraseSubject
from macroslow.workflow.books import Change


class Recorder:
    """Takes Appends; event times below zero are refused, at `commit` those of `unwritable` are."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.open_gate = threading.Event()
        self.open_gate.set()
        self.entered = threading.Event()
        self.unwritable: set[int] = set()
        self.fails = False
        self.rolled_back = 0
        self.to_finish = 0
        self.finished = threading.Event()
        self._batch: list[int] = []

    @property
    def unfinished(self) -> bool:
        return self.to_finish > 0

    def finish(self) -> None:
        self.to_finish -= 1
        if not self.to_finish:
            self.finished.set()
        raise LogUnavailableError("another process writes")

    def begin(self) -> None:
        self._batch = []
        self.entered.set()
        assert self.open_gate.wait(30)

    def apply(self, changes: Sequence[Change]) -> list[Entry]:
        numbers = [change.event.time_ns for change in changes if isinstance(change, Append)]
        if min(numbers) < 1_000:
            raise ConflictError("refused")
        self._batch += numbers
        return []

    def commit(self) -> None:
        if self.fails:
            raise LogUnavailableError("The disk is full.", fix="Free space.")
        if self.unwritable & set(self._batch):
            raise ValueError("a row that the store does not take")
        self.batches.append(self._batch)

    def rollback(self) -> None:
        self.rolled_back += 1

    def close(self) -> None:
        self.batches.append([])


async def test_a_lone_commit_does_not_wait_for_the_window() -> None:
    recorder = Recorder()
    group = GroupCommit(recorder, SystemClock(), HOUR_NS)
    await asyncio.wait_for(group.commit([append(1)]), 20)
    assert recorder.batches == [[1_001]]


async def test_requests_that_come_during_a_commit_share_the_next() -> None:
    recorder = Recorder()
    recorder.open_gate.clear()
    group = GroupCommit(recorder, SystemClock(), 0)
    first = asyncio.ensure_future(group.commit([append(0)]))
    await asyncio.to_thread(recorder.entered.wait, 30)
    others = [asyncio.ensure_future(group.commit([append(n)])) for n in range(1, 11)]
    await asyncio.sleep(0)
    assert not first.done()
    recorder.open_gate.set()
    await asyncio.gather(first, *others)
    assert recorder.batches == [[1_000], [*range(1_001, 1_011)]]
    await group.close()


async def test_what_was_submitted_stands_when_its_caller_is_cancelled() -> None:
    recorder = Recorder()
    recorder.open_gate.clear()
    group = GroupCommit(recorder, SystemClock(), 0)
    task = asyncio.ensure_future(group.commit([append(7)]))
    await asyncio.to_thread(recorder.entered.wait, 30)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    recorder.open_gate.set()
    await group.close()
    assert recorder.batches == [[1_007], []]


async def test_a_refusal_is_its_callers_alone() -> None:
    recorder = Recorder()
    group = GroupCommit(recorder, SystemClock(), 1_000_000)
    outcomes = await asyncio.gather(*(group.commit([append(n)]) for n in (1, -1, 2)), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [list, ConflictError, list]
    assert sorted(number for batch in recorder.batches for number in batch) == [1_001, 1_002]
    assert recorder.rolled_back == 0
    await group.close()


async def test_a_store_that_fails_tells_everybody_and_is_asked_again() -> None:
    recorder = Recorder()
    recorder.fails = True
    group = GroupCommit(recorder, SystemClock(), 1_000_000)
    outcomes = await asyncio.gather(*(group.commit([append(n)]) for n in range(3)), return_exceptions=True)
    assert [getattr(outcome, "fix", "") for outcome in outcomes] == ["Free space."] * 3
    assert recorder.batches == []
    recorder.fails = False
    await group.commit([append(9)])
    assert recorder.batches == [[1_009]]
    await group.close()


async def test_a_row_that_cannot_be_written_is_found_by_trying_one_by_one() -> None:
    recorder = Recorder()
    recorder.unwritable = {1_002}
    recorder.open_gate.clear()
    group = GroupCommit(recorder, SystemClock(), 0)
    first = asyncio.ensure_future(group.commit([append(0)]))
    await asyncio.to_thread(recorder.entered.wait, 30)
    others = [group.commit([append(n)]) for n in (1, 2, 3)]
    waiting = asyncio.gather(first, *others, return_exceptions=True)
    await asyncio.sleep(0)
    recorder.open_gate.set()
    assert [type(outcome) for outcome in await waiting] == [list, list, ValueError, list]
    assert recorder.batches == [[1_000], [1_001], [1_003]]
    await group.close()


async def test_closing_commits_what_was_submitted() -> None:
    recorder = Recorder()
    group = GroupCommit(recorder, SystemClock(), 0)
    tasks = [asyncio.ensure_future(group.commit([append(n)])) for n in range(50)]
    await asyncio.sleep(0)
    await asyncio.gather(group.close(), group.close())
    await asyncio.gather(*tasks)
    assert sorted(number for batch in recorder.batches for number in batch) == [*range(1_000, 1_050)]
    with pytest.raises(LogUnavailableError):
        await group.commit([append(1)])


async def test_an_erasure_is_committed_apart_and_in_its_turn() -> None:
    recorder = Recorder()
    recorder.open_gate.clear()
    group = GroupCommit(recorder, SystemClock(), 0)
    first = asyncio.ensure_future(group.commit([append(0)]))
    await asyncio.to_thread(recorder.entered.wait, 30)
    erasure = EraseSubject("alice", frozenset(), 0, "erased-1")
    lists = [
        [append(1)],
        [append(2)],
        [erasure, append(3)],
        [append(4)],
        [erasure, append(5)],
        [erasure, append(6)],
    ]
    others = [asyncio.ensure_future(group.commit(changes)) for changes in lists]
    await asyncio.sleep(0)
    recorder.open_gate.set()
    await asyncio.gather(first, *others)
    assert recorder.batches == [[1_000], [1_001, 1_002], [1_003], [1_004], [1_005], [1_006]]
    await group.close()


async def test_what_a_batch_left_to_be_done_is_tried_until_it_is_without_another_batch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_group, "FINISH_EVERY_S", 0.01)
    recorder = Recorder()
    recorder.to_finish = 3
    group = GroupCommit(recorder, SystemClock(), 0)
    assert await asyncio.to_thread(recorder.finished.wait, 30)
    await group.commit([append(1)])
    await group.close()
    assert recorder.to_finish == 0
