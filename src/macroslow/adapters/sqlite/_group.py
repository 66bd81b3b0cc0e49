"""Group commit: many callers' lists of changes, one thread, one transaction.

A request that comes when no batch was begun in the last window is committed at once; requests that
come sooner gather until the window has passed. A caller learns the outcome after COMMIT, never before.
"""

import asyncio
import contextlib
import threading
import time
from collections.abc import Iterator, Sequence
from queue import Empty, SimpleQueue
from typing import Final, Protocol

from macroslow.errors import LogUnavailableError
from macroslow.ports import NS_PER_S, Clock
from macroslow.tlog.ports import Entry, EraseSubject
from macroslow.workflow.books import Change

FINISH_EVERY_S: Final = 5.0
"""How often what a batch left to be done is tried again while nothing is committed."""


class Transaction(Protocol):
    """What a batch is run on. `apply` raises LogUnavailableError if the whole batch is lost.

    Where `unfinished` is true, `finish` tries again what a batch left to be done.
    """

    @property
    def unfinished(self) -> bool: ...

    def finish(self) -> None: ...

    def begin(self) -> None: ...

    def apply(self, changes: Sequence[Change]) -> list[Entry]: ...

    def commit(self) -> None: ...

    def rollback(self) -> None: ...

    def close(self) -> None: ...


_Future = asyncio.Future[list[Entry]]
_Request = tuple[Sequence[Change], _Future]
"""A caller's list, and what he waits for."""
_Outcome = tuple[_Future, list[Entry] | Exception]


class GroupCommit:
    """The writer thread. Belongs to the event loop that is running when it is made."""

    def __init__(self, transaction: Transaction, clock: Clock, window_ns: int) -> None:
        self._transaction = transaction
        self._clock = clock
        self._window_ns = window_ns
        self._loop = asyncio.get_running_loop()
        self._queue = SimpleQueue[_Request | None]()
        self._closing = False
        self._last_began_ns = clock.monotonic_ns() - window_ns
        self._thread = threading.Thread(target=self._run, name="books-writer", daemon=True)
        self._thread.start()

    def commit(self, changes: Sequence[Change]) -> _Future:
        """Return the entries once they are durable. What was submitted stands, whoever stops waiting."""
        if self._closing:
            raise LogUnavailableError("the books are closed")
        done: _Future = self._loop.create_future()
        self._queue.put((changes, done))
        return done

    async def close(self) -> None:
        """Commit what is submitted, then end the thread and release the store. Idempotent."""
        if not self._closing:
            self._closing = True
            self._queue.put(None)
        await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        open_for_more = True
        while open_for_more:
            batch, open_for_more = self._gather()
            for together in _apart(batch):
                outcomes = self._commit(together)
                with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                    self._loop.call_soon_threadsafe(_tell, outcomes)
        self._transaction.close()

    def _gather(self) -> tuple[list[_Request], bool]:
        """Wait for a request and for the window, then take all there are; False after the last."""
        batch: list[_Request] = []
        request = self._next()
        self._wait_for_window()
        while request is not None:
            batch.append(request)
            try:
                request = self._queue.get_nowait()
            except Empty:
                return batch, True
        return batch, False

    def _next(self) -> _Request | None:
        while self._transaction.unfinished:
            try:
                return self._queue.get(timeout=FINISH_EVERY_S)
            except Empty:
                with contextlib.suppress(
                    LogUnavailableError
                ):  # then the next time, or the next batch says so
                    self._transaction.finish()
        return self._queue.get()

    def _wait_for_window(self) -> None:
        remaining_ns = self._last_began_ns + self._window_ns - self._clock.monotonic_ns()
        if remaining_ns > 0:
            time.sleep(remaining_ns / NS_PER_S)

    def _commit(self, batch: Sequence[_Request]) -> list[_Outcome]:
        self._last_began_ns = self._clock.monotonic_ns()
        try:
            self._transaction.begin()
            outcomes = self._decided(batch)
            self._transaction.commit()
        except LogUnavailableError as error:
            self._roll_back()
            return [(done, _copy(error)) for _, done in batch]
        except Exception as error:  # noqa: BLE001  a row that the store does not take: whose is it?
            self._roll_back()
            if len(batch) == 1:
                return [(batch[0][1], error)]
            return [outcome for request in batch for outcome in self._commit([request])]
        return outcomes

    def _decided(self, batch: Sequence[_Request]) -> list[_Outcome]:
        outcomes: list[_Outcome] = []
        for changes, done in batch:
            try:
                outcomes.append((done, self._transaction.apply(changes)))
            except LogUnavailableError:
                raise
            except Exception as error:  # noqa: BLE001  this thread's outermost handler: each gets his own
                outcomes.append((done, error))
        return outcomes

    def _roll_back(self) -> None:
        with contextlib.suppress(LogUnavailableError):  # then the next `begin` fails, and says so
            self._transaction.rollback()


def _apart(batch: Sequence[_Request]) -> Iterator[Sequence[_Request]]:
    """Yield the batch in pieces, so that each erasure has one of its own: it knows what is stored alone."""
    start = 0
    for at, (changes, _) in enumerate(batch):
        if EraseSubject in map(type, changes):
            yield from filter(None, (batch[start:at], batch[at : at + 1]))
            start = at + 1
    if start < len(batch):
        yield batch[start:]


def _copy(error: LogUnavailableError) -> LogUnavailableError:
    """One instance for each caller: a traceback grows where an exception is raised."""
    twin = LogUnavailableError(error.detail, fix=error.fix, step="record", reason=error.reason)
    twin.__cause__ = error
    return twin


def _tell(outcomes: Sequence[_Outcome]) -> None:
    for done, outcome in outcomes:
        if done.done():  # its caller stopped waiting
            continue
        if isinstance(outcome, Exception):
            done.set_exception(outcome)
        else:
            done.set_result(outcome)
