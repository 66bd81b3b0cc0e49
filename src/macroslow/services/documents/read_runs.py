"""Runs, as their owner sees them. Another principal's run is an unknown run."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from macroslow.authn.principal import Principal
from macroslow.crypto.quad import Quad
from macroslow.errors import ConflictError, NotFoundError
from macroslow.ports import NS_PER_MS, Signer, Statement
from macroslow.services.documents.record_runs import object_purpose
from macroslow.services.proofs.prove_entry import ProveEntry
from macroslow.workflow.books import Books
from macroslow.workflow.journal import Run, RunState

POLL_S: Final = 0.2  # how often a watcher of a run under way looks again


@dataclass(frozen=True, slots=True)
class ReadRuns:
    """Everything under /runs."""

    books: Books
    quad: Quad
    signer: Signer
    prove: ProveEntry
    under_way: Mapping[str, Callable[[], None]]

    async def list(self, principal: Principal) -> list[dict[str, object]]:
        """Return the caller's runs, newest first."""
        return [_shown(run) for run in await self.books.runs(principal.name)]

    async def state(self, principal: Principal, run_id: str) -> dict[str, object]:
        """Return one run, without its answer."""
        return _shown(await self._run(principal, run_id))

    async def show(self, principal: Principal, run_id: str) -> dict[str, object]:
        """Return one run, with its answer once there is one."""
        run = await self._run(principal, run_id)
        shown = _shown(run)
        if run.state is not RunState.RUNNING:
            answer = await self._content(run, "answer")
            shown["answer"] = None if answer is None else json.loads(answer)
        return shown

    async def document(self, principal: Principal, run_id: str) -> bytes:
        """Return the bytes that were submitted, signature and all."""
        document = await self._content(await self._run(principal, run_id), "document")
        if document is None:
            raise NotFoundError(
                "this run's document is not kept any more",
                fix=f"GET /runs/{run_id}/history still says what it was",
            )
        return document

    async def history(self, principal: Principal, run_id: str) -> str:
        """Return the gateway's own signed statement about the run (a JWS)."""
        run = await self._run(principal, run_id)
        return await self.signer.history(Statement(_shown(run)))

    async def receipt(self, principal: Principal, run_id: str) -> dict[str, object]:
        """Return the receipt of the run's end; ConflictError while it is under way."""
        run = await self._run(principal, run_id)
        if run.finished_index is None:
            raise ConflictError(
                "the run is under way: its receipt exists when it has ended",
                fix=f"ask again when GET /runs/{run_id}/events has told of its end",
            )
        return await self.prove.by_index(run.finished_index)

    async def events(self, principal: Principal, run_id: str) -> AsyncIterator[dict[str, object]]:
        """Yield the run's state now, and again when it has ended."""
        run = await self._run(principal, run_id)
        yield _shown(run)
        while run.state is RunState.RUNNING:
            await asyncio.sleep(POLL_S)
            run = await self._run(principal, run_id)
            if run.state is not RunState.RUNNING:
                yield _shown(run)

    async def cancel(self, principal: Principal, run_id: str) -> dict[str, object]:
        """Stop a run under way; what it has spent stays spent. ConflictError if its work has ended."""
        run = await self._run(principal, run_id)
        if run.state is not RunState.RUNNING:
            raise ConflictError(
                f"the run has ended: {run.state}",
                fix=f"nothing is left to stop: GET /runs/{run_id} has its result",
            )
        stop = self.under_way.get(run_id)
        if stop is None:
            raise ConflictError(
                "the run works in another process, or its end is being recorded",
                fix="try again, until the process that runs it is asked or it has ended",
            )
        stop()
        return {"run_id": run_id, "cancelling": True}

    async def _run(self, principal: Principal, run_id: str) -> Run:
        run = await self.books.run(run_id)
        if run is None or run.principal != principal.name:
            raise NotFoundError("no such run", fix="GET /runs lists those of this credential")
        return run

    async def _content(self, run: Run, kind: str) -> bytes | None:
        stored = await self.books.sealed_object(run.id, kind)
        if stored is None:
            return None
        subject, sealed = stored
        return self.quad.open(sealed, subject, purpose=object_purpose(run.id, kind))


def _utc(time_ns: int) -> str:
    """RFC 3339 with milliseconds: nanoseconds do not fit the integers of every JSON reader."""
    return datetime.fromtimestamp(time_ns // NS_PER_MS / 1000, UTC).isoformat(timespec="milliseconds")


def _shown(run: Run) -> dict[str, object]:
    return {
        "run_id": run.id,
        "principal": run.principal,
        "state": run.state.value,
        "accepted_at": _utc(run.accepted_ns),
        "finished_at": None if run.finished_ns is None else _utc(run.finished_ns),
        "document_sha256": run.document_sha256,
        "document_bytes": run.document_bytes,
        "origin": run.origin,
        "signer": run.signer,
        "accepted_index": run.accepted_index,
        "finished_index": run.finished_index,
    }
