"""Runs and their sealed objects, as the writer changes them."""

import sqlite3

from macroslow.adapters.sqlite._log import Log
from macroslow.adapters.sqlite._names import Names
from macroslow.adapters.sqlite._stage import Cache, Stage
from macroslow.adapters.sqlite._statements import FINISH_RUN, PUT_OBJECT, PUT_RUN
from macroslow.errors import ConflictError, NotFoundError
from macroslow.workflow.journal import NEXT, AcceptRun, FinishRun, PutObject, RunState


class Journal:
    """The `runs` and `objects` tables, for the writer."""

    def __init__(self, connection: sqlite3.Connection, stage: Stage, names: Names, log: Log) -> None:
        self._connection = connection
        self._stage = stage
        self._names = names
        self._log = log
        self._states = Cache[str, RunState](stage)

    def accept(self, change: AcceptRun) -> None:
        """Record a run; the next entry of the log is its own."""
        if self._find(change.id) is not None:
            raise ConflictError(f"there is a run {change.id} already")
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
            self._names.number(change.owner),
        )
        self._stage.write(PUT_RUN, row)
        self._states.put(change.id, RunState.RUNNING)

    def finish(self, change: FinishRun) -> None:
        """Move a run on; the next entry of the log is its own."""
        state = self._state(change.id)
        after = NEXT.get((state, change.event))
        if after is None:
            raise ConflictError(f"run {change.id} is {state}: it cannot change any more")
        number = self._names.number(change.id)
        self._stage.write(FINISH_RUN, (after, change.finished_ns, self._log.next_index, number))
        self._states.put(change.id, after)

    def put_object(self, change: PutObject) -> None:
        """Keep sealed bytes beside a run, in place of older ones of the same kind."""
        self._state(change.run_id)
        number = self._names.number
        row = (number(change.run_id), change.kind, number(change.subject), change.sealed)
        self._stage.write(PUT_OBJECT, row)

    def reload(self) -> None:
        self._states.clear()

    def _state(self, run_id: str) -> RunState:
        state = self._find(run_id)
        if state is None:
            raise NotFoundError(f"there is no run {run_id}")
        return state

    def _find(self, run_id: str) -> RunState | None:
        state = self._states.get(run_id)
        if state is not None:
            return state
        query = "SELECT state FROM runs WHERE n = ?"
        row = self._connection.execute(query, (self._names.known(run_id),)).fetchone()
        return None if row is None else self._states.learn(run_id, RunState(row[0]))
