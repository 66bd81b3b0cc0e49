"""Run a signed workflow document: admitted, paid for, sandboxed, sealed, logged, proved.

`accepted` is durable before the first block runs, `finished` before the answer leaves. A run that
dies between the two is found at the next start and reported as interrupted.
"""

import asyncio
import hashlib
import json
from collections.abc import Coroutine, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any, Final

import orjson

from macroslow.authn.principal import Principal
from macroslow.crypto.quad import Quad
from macroslow.errors import MacroslowError
from macroslow.maml import inputs as maml_inputs
from macroslow.metering.ledger import CloseAccount, OpenAccount
from macroslow.ports import Clock, Entropy, Signer, Statement
from macroslow.services.admit_document import AdmitDocument, Admitted, Submission
from macroslow.services.call_api import CallAPI
from macroslow.services.complete_chat import ChatAnswer, ChatStream, CompleteChat
from macroslow.services.prove_entry import ProveEntry
from macroslow.services.run_egress import OpenEgress, RunEgress
from macroslow.tlog import receipt
from macroslow.tlog.event import Event, EventType
from macroslow.tlog.ports import Append, Entry
from macroslow.workflow import answer as run_answer
from macroslow.workflow.answer import Conclusion
from macroslow.workflow.books import Books, Change
from macroslow.workflow.journal import AcceptRun, FinishRun, PutObject, RunEvent
from macroslow.workflow.sandbox import Block, Job, Level, Limits, Outcome, Sandbox

RUN_ID_BYTES: Final = 16
CAPABILITY_BYTES: Final = 32
CAPABILITY_PREFIX: Final = "run-"
CANCELLED: Final = Conclusion(False, None, "the run was cancelled")


@dataclass(frozen=True, slots=True)
class RunRules:
    """The operator's bounds of every run."""

    limits: Limits
    budget_usd_micros: int


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
class Started:
    """A run whose acceptance is durable. `account` is its own, if it may call models."""

    id: str
    principal: Principal
    admitted: Admitted
    request_id: str
    document_sha256: str
    account: str | None
    started_ns: int  # monotonic


@dataclass(frozen=True, slots=True)
class ExecuteDocument:
    """One run from bytes to receipt. Its fields are everything that it touches."""

    admit: AdmitDocument
    books: Books
    sandbox: Sandbox
    complete_chat: CompleteChat
    call_api: CallAPI
    open_egress: OpenEgress
    prove: ProveEntry
    signer: Signer
    quad: Quad
    clock: Clock
    entropy: Entropy
    rules: RunRules
    under_way: dict[str, Stop]
    slots: asyncio.Semaphore

    async def __call__(
        self, principal: Principal, submission: Submission, *, request_id: str
    ) -> dict[str, object]:
        """Return the answer of `/execute`, receipt included.

        A document that fails, or is cancelled by its owner, is an answer with `status: failed`.
        A caller that hangs up cancels the run; that is logged like any other end.
        """
        admitted = await asyncio.to_thread(self.admit, principal, submission)
        if admitted.plan.blocks and self.sandbox.level is Level.NONE:
            await self.sandbox.run(Job("", (), {}))  # raises, and knows why no sandbox works here
        stop = Stop()
        # A task of its own: once a run is accepted its end is recorded, whoever goes away meanwhile.
        carrying_out = asyncio.create_task(self._carry_out(principal, admitted, submission, request_id, stop))
        try:
            return await asyncio.shield(carrying_out)
        except asyncio.CancelledError:
            stop()
            await asyncio.wait({carrying_out})
            raise

    async def _carry_out(
        self, principal: Principal, admitted: Admitted, submission: Submission, request_id: str, stop: Stop
    ) -> dict[str, object]:
        run = await self._accept(principal, admitted, submission, request_id)
        self.under_way[run.id] = stop
        try:
            outcome = await stop.guard(self._work(run))
        except asyncio.CancelledError:
            return await self._finish(run, self._nothing, CANCELLED, RunEvent.CANCELLED)
        except BaseException as error:
            await self._give_up(run, error)
            raise
        finally:
            del self.under_way[run.id]
        check_result = partial(maml_inputs.check_result, admitted.document.parsed)
        conclusion = run_answer.conclude(outcome, check_result)
        event = RunEvent.SUCCEEDED if conclusion.success else RunEvent.FAILED
        return await self._finish(run, outcome, conclusion, event)

    @property
    def _nothing(self) -> Outcome:
        return Outcome((), None, self.sandbox.backend, self.sandbox.level)

    async def _accept(
        self, principal: Principal, admitted: Admitted, submission: Submission, request_id: str
    ) -> Started:
        """Make the run, its account and its `accepted` entry durable in one commit."""
        run_id = self.entropy.random(RUN_ID_BYTES).hex()
        now_ns = self.clock.now_ns()
        raw, document, rights = submission.raw, admitted.document, admitted.authorised.rights
        digest = hashlib.sha256(raw).hexdigest()
        inputs = json.dumps(admitted.inputs, sort_keys=True).encode()
        signer = document.signer.key_id if document.signer else None
        fields = {
            "run_id": run_id,
            "request_id": request_id,
            "principal": principal.name,
            "key_id": principal.key_id,
            "document_sha256": digest,
            "document_bytes": len(raw),
            "document_id": document.parsed.front.id,
            "origin": document.parsed.front.origin,
            "signer": signer,
            "rights": [*rights.uris],
            "inputs_sha256": hashlib.sha256(inputs).hexdigest(),
            "sandbox": {"backend": self.sandbox.backend, "level": self.sandbox.level.value},
        }
        account = await self._account(principal, run_id) if rights.providers else None
        opening: list[Change] = [account] if account else []
        await self.books.commit(
            *opening,
            AcceptRun(run_id, principal.name, now_ns, digest, len(raw), document.parsed.front.origin, signer),
            Append(Event(EventType.RUN_ACCEPTED, now_ns, principal.name, fields)),
            self._object(run_id, "document", principal, raw),
            self._object(run_id, "inputs", principal, inputs),
        )
        account_id = account.id if account else None
        return Started(run_id, principal, admitted, request_id, digest, account_id, self.clock.monotonic_ns())

    async def _account(self, principal: Principal, run_id: str) -> OpenAccount:
        """One bounded sub-account: the rule's amount, or what the caller has left if that is less."""
        limit = self.rules.budget_usd_micros
        parent = await self.books.account(principal.account)
        if parent is not None and parent.limit_usd_micros is not None:
            left = parent.limit_usd_micros - parent.spent_usd_micros - parent.held_usd_micros
            limit = max(1, min(limit, left))  # with nothing left, the commit refuses and says the numbers
        return OpenAccount(f"run/{run_id}", limit, parent=principal.account)

    async def _work(self, run: Started) -> Outcome:
        """Run the blocks with the run's own way out, which ends with them."""
        planned = run.admitted.plan
        if not planned.blocks:
            return self._nothing
        async with self.slots:
            return await self._work_in_sandbox(run)

    async def _work_in_sandbox(self, run: Started) -> Outcome:
        planned = run.admitted.plan
        rights = run.admitted.authorised.rights
        capability = CAPABILITY_PREFIX + self.entropy.random(CAPABILITY_BYTES).hex()
        job = Job(
            run_id=run.id,
            blocks=tuple(Block(b.language, b.name, b.code, b.line, b.timeout_s) for b in planned.blocks),
            inputs=run.admitted.inputs,
            limits=_lowered(self.rules.limits, planned.timeout_s),
            environment=_environment(capability) if rights.providers else {},
            apis={name: f"/api/{name}" for name in rights.apis},
            wants_egress=bool(rights.providers or rights.apis),
        )
        if not job.wants_egress:
            return await self.sandbox.run(job)
        egress = RunEgress(
            capability_sha256=hashlib.sha256(capability.encode()).digest(),
            chat=partial(self._chat, run) if rights.providers else None,
            apis={name: partial(self.call_api, run.principal, run.id, name) for name in rights.apis},
        )
        return await self.sandbox.run(job, self.open_egress(egress))

    async def _chat(self, run: Started, body: bytes) -> ChatAnswer | ChatStream:
        return await self.complete_chat(
            run.principal,
            body,
            request_id=run.request_id,
            run_id=run.id,
            account=run.account,
            providers=run.admitted.authorised.rights.providers,
        )

    async def _finish(
        self, run: Started, outcome: Outcome, conclusion: Conclusion, event: RunEvent
    ) -> dict[str, object]:
        """Settle, seal and log the run's end in one commit; then prove it."""
        document = run.admitted.document
        duration_ms = (self.clock.monotonic_ns() - run.started_ns) // 1_000_000
        answer: dict[str, object] = {
            "status": "success" if conclusion.success else "failed",
            "run_id": run.id,
            "result": conclusion.result,
            "error": conclusion.error or None,
            "outputs": run_answer.outputs(outcome.blocks),
            "usage": run_answer.usage(await self.books.run_usage(run.id)),
            "signer": document.signer.key_id if document.signer else None,
            "sandbox": {"backend": outcome.backend, "level": outcome.level.value},
            "verification": run.admitted.plan.verification,
            "warnings": [asdict(warning) for warning in run.admitted.warnings],
            "duration_ms": duration_ms,
            "execution_time": f"{duration_ms}ms",
            "signature": None,
            "quantum_checksum": None,
        }
        if run.admitted.wants_signature:
            await self._sign(answer)
        entry = await self._close(run, event, answer)
        answer["receipt"] = await self.prove(entry)
        return answer

    async def _sign(self, answer: dict[str, object]) -> None:
        """Sign the answer as it is before the two members that hold the signature are filled in."""
        digest = receipt.answer_sha256(answer)
        claims = {"run_id": answer["run_id"], "answer_sha256": digest}
        answer["signature"] = await self.signer.answer(Statement(claims))
        answer["quantum_checksum"] = digest

    async def _close(self, run: Started, event: RunEvent, answer: Mapping[str, object]) -> Entry:
        """The run's end in one commit: account, state, log entry and the sealed answer."""
        now_ns = self.clock.now_ns()
        fields = {
            **run_answer.finished_fields(answer),
            "request_id": run.request_id,
            "principal": run.principal.name,
            "key_id": run.principal.key_id,
            "document_sha256": run.document_sha256,
            "origin": run.admitted.document.parsed.front.origin,
            "rights": [*run.admitted.authorised.rights.uris],
            "answer_sha256": receipt.answer_sha256(answer),
        }
        closing: list[Change] = [CloseAccount(run.account)] if run.account else []
        entries = await self.books.commit(
            *closing,
            FinishRun(run.id, event, now_ns),
            Append(Event(EventType.RUN_FINISHED, now_ns, run.principal.name, fields)),
            self._object(run.id, "answer", run.principal, orjson.dumps(answer)),
        )
        return entries[0]

    async def _give_up(self, run: Started, error: BaseException) -> None:
        """The gateway, not the document, failed: the run is closed as failed before the error goes on."""
        code = error.code if isinstance(error, MacroslowError) else "internal"
        conclusion = Conclusion(False, None, f"the run could not be carried out ({code})")
        await self._finish(run, self._nothing, conclusion, RunEvent.FAILED)

    def _object(self, run_id: str, kind: str, principal: Principal, content: bytes) -> PutObject:
        return PutObject(run_id, kind, principal.name, self.quad.seal(content, principal.name, purpose=kind))


def _environment(capability: str) -> dict[str, str]:
    """What makes official SDKs work unchanged in a block."""
    return {"OPENAI_BASE_URL": "http://127.0.0.1:{port}/v1", "OPENAI_API_KEY": capability}


def _lowered(limits: Limits, timeout_s: float | None) -> Limits:
    """A document may only ask for less."""
    return limits if timeout_s is None else replace(limits, wall_s=min(limits.wall_s, timeout_s))
