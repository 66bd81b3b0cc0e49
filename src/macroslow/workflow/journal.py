"""Runs: their states, the moves between them and what is kept of each."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol


class RunState(enum.StrEnum):
    """Where a run stands. Only `running` may change."""

    RUNNING = "running"
    SUCCESS = "success"
    FAILED = "failed"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"  # the gateway died under it: outcome unknown


class RunEvent(enum.StrEnum):
    """What can happen to a run."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    CUT_OFF = "cut-off"


NEXT: Final[Mapping[tuple[RunState, RunEvent], RunState]] = {
    (RunState.RUNNING, RunEvent.SUCCEEDED): RunState.SUCCESS,
    (RunState.RUNNING, RunEvent.FAILED): RunState.FAILED,
    (RunState.RUNNING, RunEvent.CANCELLED): RunState.CANCELLED,
    (RunState.RUNNING, RunEvent.CUT_OFF): RunState.INTERRUPTED,
}


@dataclass(frozen=True, slots=True)
class Run:
    """What is kept of a run in clear: ids, times, state, digests and sizes. Content is sealed beside it."""

    id: str
    principal: str
    state: RunState
    accepted_ns: int
    finished_ns: int | None
    document_sha256: str
    document_bytes: int
    origin: str
    signer: str | None
    accepted_index: int
    finished_index: int | None
    owner: str


@dataclass(frozen=True, slots=True)
class AcceptRun:
    """Record a run as running. Its log entry must be the next Append of the same commit.

    `owner` is the process that carries it out.
    """

    id: str
    principal: str
    accepted_ns: int
    document_sha256: str
    document_bytes: int
    origin: str
    signer: str | None
    owner: str


@dataclass(frozen=True, slots=True)
class FinishRun:
    """Move a run to the state that `event` leads to. Its log entry is the next Append of the commit.

    ConflictError if the run is not running any more.
    """

    id: str
    event: RunEvent
    finished_ns: int


@dataclass(frozen=True, slots=True)
class PutObject:
    """Keep sealed bytes beside a run: kind is "document", "inputs", "answer" or "receipt"."""

    run_id: str
    kind: str
    subject: str
    sealed: bytes


class JournalReader(Protocol):
    """Reading runs. Values are those of the last commit."""

    async def run(self, run_id: str) -> Run | None: ...

    async def runs(self, principal: str | None, *, limit: int = 100) -> list[Run]:
        """The newest first; all principals' if None."""
        ...

    async def running(self) -> list[Run]: ...

    async def sealed_object(self, run_id: str, kind: str) -> tuple[str, bytes] | None:
        """Subject and sealed bytes."""
        ...
