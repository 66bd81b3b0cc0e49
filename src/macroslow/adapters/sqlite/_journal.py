"""Runs and their sealed objects, as the writer changes them."""

import sqlite3
from typing import Final

from macroslow.adapters.sqlite._log import Log
from macroslow.adapters.sqlite._names import Names
from macroslow.errors import ConflictError, NotFoundError
from macroslow.workflow.journal import NEXT, AcceptRun, FinishRun, PutObject, RunState

_PUT_RUN: Final = "INSERT INTO runs VALUES (?, ?, ?, ?, NULL, ?, ?, ?, ?, ?, NULL)"
_FINISH: Final = "UPDATE runs SET state = ?, finished_ns = ?, finished_index = ? WHERE n = ?"
_PUT_OBJECT: Final = "INSERT OR REPLACE INTO objects (run, kind, subject, sealed) VALUES (?, ?, ?, ?)"


class Journal:
    """Writes through; nothing of it waits in memory."""

    def __init__(self, connection: sqlite3.Connection, names: Names, log: Log) -> None:
        self._connection = connection
        self._names = names
        self._log = log

    def accept(self, change: AcceptRun) -> None:
        """Record a run; the next entry of the log is its own."""
        row = (
            self._names.number(change.id),
            self._names.number(change.principal),
            RunState.RUNNING,
            change.accepted_ns,
            change.document_sha256,
            change.document_bytes,
            change.origin,
            change.signer,
            self._log.next_index,
        )
        self._connection.execute(_PUT_RUN, row)

    def finish(self, change: FinishRun) -> None:
        """Move a run on; the next entry of the log is its own."""
        number, state = self._find(change.id)
        after = NEXT.get((state, change.event))
        if after is None:
            raise ConflictError(f"Run {change.id} is {state}: it cannot change any more.")
        self._connection.execute(_FINISH, (after, change.finished_ns, self._log.next_index, number))

    def put_object(self, change: PutObject) -> None:
        """Keep sealed bytes beside a run, in place of older ones of the same kind."""
        number, _ = self._find(change.run_id)
        row = (number, change.kind, self._names.number(change.subject), change.sealed)
        self._connection.execute(_PUT_OBJECT, row)

    def _find(self, run_id: str) -> tuple[int, RunState]:
        number = self._names.number(run_id)
        row = self._connection.execute("SELECT state FROM runs WHERE n = ?", (number,)).fetchone()
        if row is None:
            raise NotFoundError(f"There is no run {run_id}.")
        return number, RunState(row[0])
