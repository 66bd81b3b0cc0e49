"""Run a signed workflow document: admitted, paid for, sandboxed, sealed, logged, proved.

`accepted` is durable before the first block runs, `finished` before the answer leaves. A run that
dies between the two is found, by another process or at the next start, and reported as interrupted.
"""

import asyncio
import hashlib
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

from macroslow.authn.principal import Principal
from macroslow.errors import MacroslowError
from macroslow.inference.operation import Operation
from macroslow.maml import inputs as maml_inputs
from macroslow.ports import Entropy
from macroslow.services.calls.call_api import CallAPI
from macroslow.services.calls.call_model import CallModel
from macroslow.services.calls.settle_call import ModelAnswer, ModelStream
from macroslow.services.documents.admit_document import AdmitDocument, Admitted, Submission
from macroslow.services.documents.record_runs import Accepted, RecordRuns
from macroslow.services.documents.run_egress import OpenEgress, RunEgress
from macroslow.services.proofs.prove_entry import ProveEntry
from macroslow.tlog.ports import Entry
from macroslow.workflow.answer import Conclusion, conclude
from macroslow.workflow.journal import RunEvent
from macroslow.workflow.sandbox import Block, Job, Level, Limits, Outcome, Sandbox

CAPABILITY_BYTES: Final = 32
API_PATH_BYTES: Final = 16
CAPABILITY_PREFIX: Final = "run-"
STEPS: Final = 3  # of a run that nothing ends early
Say = Callable[[str], None]
"""Hears of a step of a run that is done, in a few words; it must neither wait nor raise."""
CANCELLED: Final = Conclusion(False, None, "the run was cancelled")


def unheard(_step: str) -> None:
    """The steps of a run that nobody watches."""


class Stop:
    """Cancels one run's work: at once, or as soon as it begins. Calling it again does nothing more."""

    def __init__(self) -> None:
        self._wanted = False
        self._work: asyncio.Task[Outcome] | None = None

    def __call__(self) -> None:
        self._wanted = True
        if self._work is not None:
            self._work.cancel()

    async def guard(self, work: Coroutine[Any, Any, Outcome]) -> Outcome:
        """Do the work; CancelledError if it was stopped."""
        self._work = asyncio.create_task(work)
        if self._wanted:
            self._work.cancel()
        return await self._work


@dataclass(frozen=True, slots=True)
class ExecuteDocument:
    """One run from bytes to receipt. Its fields are everything that it touches.

    `limits` are the operator's bounds of every run, `slots` how many work at once, `under_way` what
    stops each of them.
    """

    admit: AdmitDocument
    record: RecordRuns
    sandbox: Sandbox
    call_model: CallModel
    call_api: CallAPI
    open_egress: OpenEgress
    prove: ProveEntry
    entropy: Entropy
    limits: Limits
    under_way: dict[str, Stop]
    slots: asyncio.Semaphore

    async def __call__(
        self, principal: Principal, submission: Submission, *, request_id: str, say: Say = unheard
    ) -> dict[str, object]:
        """Return the answer of `/execute`, receipt included. `say` hears of its STEPS as they are done.

        A document that fails, or is cancelled by its owner, is an answer with `status: failed`.
        A caller that hangs up cancels the run; that is logged like any other end. Raises what
        admission raises, BudgetExhaustedError and LogUnavailableError.
        """
        admitted = await asyncio.to_thread(self.admit, principal, submission)
        if admitted.plan.blocks and self.sandbox.level is Level.NONE:
            await self.sandbox.run(Job("", (), {}))  # raises, and knows why no sandbox works here
        say("the document may run")
        stop = Stop()
        # A task of its own: once a run is accepted its end is recorded, whoever goes away meanwhile.
        carrying_out = asyncio.create_task(self._carry_out(principal, admitted, request_id, stop, say))
        try:
            return await asyncio.shield(carrying_out)
        except asyncio.CancelledError:
            stop()
            await asyncio.wait({carrying_out})
            raise

    async def _carry_out(
        self, principal: Principal, admitted: Admitted, request_id: str, stop: Stop, say: Say
    ) -> dict[str, object]:
        nothing = self._nothing
        shown = {"backend": nothing.backend, "level": nothing.level.value}
        run = await self.record.accept(principal, admitted, request_id, shown)
        say(f"run {run.id} is accepted and begins")
        try:
            answer, entry = await self._to_its_end(run, stop, say)
        except BaseException as error:
            # The gateway, not the document, failed. What cannot be recorded now is closed as interrupted.
            code = error.code if isinstance(error, MacroslowError) else "internal"
            conclusion = Conclusion(False, None, f"the run could not be carried out ({code})")
            with suppress(MacroslowError):
                await self.record.finish(run, nothing, conclusion, RunEvent.FAILED, signed=False)
            raise
        finally:
            self.record.release(run)
        answer["receipt"] = await self.prove(entry)
        return answer

    async def _to_its_end(self, run: Accepted, stop: Stop, say: Say) -> tuple[dict[str, object], Entry]:
        """Work, conclude and record; the answer, and the log entry that commits to it."""
        self.under_way[run.id] = stop
        finish = partial(self.record.finish, run, signed=run.admitted.wants_signature)
        try:
            outcome = await stop.guard(self._work(run))
        except asyncio.CancelledError:
            return await finish(self._nothing, CANCELLED, RunEvent.CANCELLED)
        finally:
            del self.under_way[run.id]
        say("its work has ended and is recorded")
        check_result = partial(maml_inputs.check_result, run.admitted.document.parsed)
        conclusion = await asyncio.to_thread(conclude, outcome, check_result)
        event = RunEvent.SUCCEEDED if conclusion.success else RunEvent.FAILED
        return await finish(outcome, conclusion, event)

    @property
    def _nothing(self) -> Outcome:
        return Outcome((), None, self.sandbox.backend, self.sandbox.level)

    async def _work(self, run: Accepted) -> Outcome:
        """Run the blocks with the run's own way out, which ends with them."""
        planned = run.admitted.plan
        if not planned.blocks:
            return self._nothing
        async with self.slots:
            return await self._work_in_sandbox(run)

    async def _work_in_sandbox(self, run: Accepted) -> Outcome:
        planned = run.admitted.plan
        rights = run.admitted.authorised.rights
        capability = CAPABILITY_PREFIX + self.entropy.random(CAPABILITY_BYTES).hex()
        api_prefix = f"/api/{self.entropy.random(API_PATH_BYTES).hex()}/"
        job = Job(
            run_id=run.id,
            blocks=tuple(Block(b.language, b.name, b.code, b.line, b.timeout_s) for b in planned.blocks),
            inputs=run.admitted.inputs,
            limits=_lowered(self.limits, planned.timeout_s),
            environment=_environment(capability) if rights.providers else {},
            apis={name: api_prefix + name for name in rights.apis},
            wants_egress=bool(rights.providers or rights.apis),
        )
        if not job.wants_egress:
            return await self.sandbox.run(job)
        egress = RunEgress(
            capability_sha256=hashlib.sha256(capability.encode()).digest(),
            api_prefix=api_prefix.encode("ascii"),
            ask=partial(self._ask, run),
            apis={name: partial(self.call_api, run.principal, run.id, name) for name in rights.apis},
        )
        return await self.sandbox.run(job, self.open_egress(egress))

    async def _ask(
        self, run: Accepted, operation: Operation, body: bytes, headers: Mapping[str, str]
    ) -> ModelAnswer | ModelStream:
        return await self.call_model(
            run.principal,
            operation,
            body,
            request_id=run.request_id,
            headers=headers,
            run_id=run.id,
            account=run.account,
            providers=run.admitted.authorised.rights.providers,
        )


def _environment(capability: str) -> dict[str, str]:
    """What makes official SDKs work unchanged in a block."""
    return {
        "OPENAI_BASE_URL": "http://127.0.0.1:{port}/v1",
        "OPENAI_API_KEY": capability,
        "ANTHROPIC_BASE_URL": "http://127.0.0.1:{port}",
        "ANTHROPIC_API_KEY": capability,
    }


def _lowered(limits: Limits, timeout_s: float | None) -> Limits:
    """A document may only ask for less."""
    return limits if timeout_s is None else replace(limits, wall_s=min(limits.wall_s, timeout_s))
