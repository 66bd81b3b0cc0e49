"""Runs and their sealed objects, as a batch changes them."""

from dataclasses import replace

from macroslow.adapters.postgres._state import RunRow, Tables
from macroslow.errors import ConflictError, NotFoundError
from macroslow.workflow.journal import NEXT, AcceptRun, FinishRun, PutObject, RunState


class Journal:
    """The `runs` and `objects` of one batch."""

    def __init__(self, state: Tables) -> None:
        self._state = state

    def accept(self, change: AcceptRun) -> None:
        """Record a run; the next entry of the log is its own."""
        if self._state.runs.get(change.id) is not None:
            raise ConflictError(f"there is a run {change.id} already")
        self._number(change.id, change.principal, change.owner)
        run = RunRow(RunState.RUNNING, accepted=(change, self._state.next_index))
        self._state.runs.put(change.id, run)

    def finish(self, change: FinishRun) -> None:
        """Move a run on; the next entry of the log is its own."""
        run = self._run(change.id)
        after = NEXT.get((run.state, change.event))
        if after is None:
            raise ConflictError(f"run {change.id} is {run.state}: it cannot change any more")
        finished = (change.finished_ns, self._state.next_index)
        self._state.runs.put(change.id, replace(run, state=after, finished=finished))

    def put_object(self, change: PutObject) -> None:
        """Keep sealed bytes beside a run, in place of older ones of the same kind."""
        self._run(change.run_id)
        self._number(change.subject)
        self._state.objects.put((change.run_id, change.kind), (change.subject, change.sealed))

    def _run(self, run_id: str) -> RunRow:
        run = self._state.runs.get(run_id)
        if run is None:
            raise NotFoundError(f"there is no run {run_id}")
        return run

    def _number(self, *names: str) -> None:
        for name in names:
            self._state.number(name)
