"""Group commit: many callers' lists of changes, one batch at a time.

A request that comes when no batch was begun in the last window is committed at once; requests that
come sooner gather until the window has passed. A caller learns the outcome after COMMIT,
never before. A list that erases somebody is a batch of its own.
"""

import asyncio
import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from macroslow.errors import LogUnavailableError
from macroslow.ports import NS_PER_S, Clock
from macroslow.tlog.ports import Entry, EraseSubject
from macroslow.workflow.books import Change

CommitOutcome = list[Entry] | Exception


class Transaction(Protocol):
    """What a batch is run on: one outcome for each list, all durable when it returns.

    LogUnavailableError means that the whole batch is lost, any other error that the store does not take
    some row of it.
    """

    async def __call__(self, lists: Sequence[Sequence[Change]]) -> Sequence[CommitOutcome]: ...


@dataclass(frozen=True, slots=True, eq=False)
class _Request:
    changes: Sequence[Change]
    done: asyncio.Future[list[Entry]]


class GroupCommit:
    """The writing task. Belongs to the event loop that is running when it is made."""

    def __init__(self, transaction: Transaction, clock: Clock, window_ns: int) -> None:
        self._transaction = transaction
        self._clock = clock
        self._window_ns = window_ns
        self._waiting: list[_Request] = []
        self._wake = asyncio.Event()
        self._closing = False
        self._last_began_ns = clock.monotonic_ns() - window_ns
        self._task = asyncio.create_task(self._run())

    async def commit(self, changes: Sequence[Change]) -> list[Entry]:
        """Return the entries once they are durable. What was submitted stands, whoever stops waiting."""
        if self._closing:
            raise LogUnavailableError("the books are closed")
        done: asyncio.Future[list[Entry]] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Request(changes, done))
        self._wake.set()
        return await done

    async def close(self) -> None:
        """Commit what is submitted, then end. Idempotent."""
        self._closing = True
        self._wake.set()
        await asyncio.wait([self._task])

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            if self._waiting:
                await self._wait_for_window()
                batch, self._waiting = self._waiting, []
                for turn in _turns(batch):
                    await self._commit(turn)
            elif self._closing:
                return
            else:
                self._wake.clear()

    async def _wait_for_window(self) -> None:
        remaining_ns = self._last_began_ns + self._window_ns - self._clock.monotonic_ns()
        if remaining_ns > 0 and not self._closing:
            await asyncio.sleep(remaining_ns / NS_PER_S)

    async def _commit(self, batch: Sequence[_Request]) -> None:
        self._last_began_ns = self._clock.monotonic_ns()
        outcomes: Sequence[CommitOutcome]
        try:
            outcomes = await self._transaction([request.changes for request in batch])
        except LogUnavailableError as error:
            outcomes = [_copy(error) for _ in batch]
        except Exception as error:  # noqa: BLE001  a row that the store does not take: whose is it?
            if len(batch) > 1:
                for request in batch:
                    await self._commit([request])
                return
            outcomes = [error]
        for request, outcome in zip(batch, outcomes, strict=True):
            _tell(request, outcome)


def _turns(batch: Sequence[_Request]) -> Iterator[list[_Request]]:
    """Divide a batch, in its order: what erases is committed by itself."""
    turn: list[_Request] = []
    for request in batch:
        if any(isinstance(change, EraseSubject) for change in request.changes):
            if turn:
                yield turn
            yield [request]
            turn = []
        else:
            turn.append(request)
    if turn:
        yield turn


def _copy(error: LogUnavailableError) -> LogUnavailableError:
    """One instance for each caller: a traceback grows where an exception is raised."""
    twin = LogUnavailableError(error.detail, fix=error.fix, step="record", reason=error.reason)
    twin.__cause__ = error
    return twin


def _tell(request: _Request, outcome: CommitOutcome) -> None:
    with contextlib.suppress(asyncio.InvalidStateError):  # its caller stopped waiting
        if isinstance(outcome, Exception):
            request.done.set_exception(outcome)
        else:
            request.done.set_result(outcome)
