"""What is kept of a run: its acceptance before anything of it happens, and its end, each in one commit.

Documents, inputs and answers are sealed under their principal's name and the run's id, so that what
was stored for one run opens for no other. Hashing and sealing grow with what callers and their code
send, so both are done off the event loop.
"""

import asyncio
import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Final

import orjson

from macroslow.authn.principal import Principal
from macroslow.crypto.quad import Quad
from macroslow.errors import ConflictError, LogUnavailableError
from macroslow.metering.ledger import CloseAccount, OpenAccount
from macroslow.ports import NS_PER_MS, Clock, Entropy, Signer, Statement
from macroslow.tlog import receipt
from macroslow.tlog.event import Event, EventType
from macroslow.tlog.ports import Append, Entry
from macroslow.workflow import answer as run_answer
from macroslow.workflow.answer import Conclusion
from macroslow.workflow.books import Books, Change
from macroslow.workflow.journal import AcceptRun, FinishRun, PutObject, RunEvent
from macroslow.workflow.sandbox import Outcome

if TYPE_CHECKING:
    from macroslow.services.documents.admit_document import Admitted

RUN_ID_BYTES: Final = 16


@dataclass(frozen=True, slots=True)
class Accepted:
    """A run whose acceptance is durable. `account` is its own, if it may call models."""

    id: str
    principal: Principal
    admitted: "Admitted"
    request_id: str
    account: str | None
    started_ns: int  # monotonic

    @property
    def signer(self) -> str | None:
        """Key id of whoever vouches for the document."""
        signer = self.admitted.document.signer
        return signer.key_id if signer else None


@dataclass(frozen=True, slots=True)
class RecordRuns:
    """Writes both ends of a run. `budget_usd_micros` is the most that one run may hold; `enforced` False:
    an operator who only observes, whose runs hold it over every limit.

    `owner` is this process in the journal, `open_runs` what it carries out, until `release`: a run of its
    own that is not among them has lost its end, and whoever looks after runs closes it.
    """

    books: Books
    signer: Signer
    quad: Quad
    clock: Clock
    entropy: Entropy
    budget_usd_micros: int
    owner: str
    enforced: bool = True
    open_runs: set[str] = field(default_factory=set)

    async def accept(
        self, principal: Principal, admitted: "Admitted", request_id: str, sandbox: Mapping[str, str]
    ) -> Accepted:
        """Make the run, its account and its `accepted` entry durable in one commit."""
        run_id = self.entropy.random(RUN_ID_BYTES).hex()
        calls_models = bool(admitted.authorised.rights.providers)
        account = await self._account(principal, run_id) if calls_models else None
        account_id = account.id if account else None
        started_ns = self.clock.monotonic_ns()
        run = Accepted(run_id, principal, admitted, request_id, account_id, started_ns)
        opening: list[Change] = [account] if account else []
        changes = [*opening, *await asyncio.to_thread(self._acceptance, run, sandbox)]
        self.open_runs.add(run_id)
        try:
            await self.books.commit(*changes)
        except BaseException:
            self.release(run)
            raise
        return run

    def release(self, run: Accepted) -> None:
        """Nothing is done for this run any more; where its end was not recorded, it is interrupted."""
        self.open_runs.discard(run.id)

    async def finish(
        self, run: Accepted, outcome: Outcome, conclusion: Conclusion, event: RunEvent, *, signed: bool
    ) -> tuple[dict[str, object], Entry]:
        """Settle, seal and log the run's end in one commit; the answer, and the entry that commits to it.

        LogUnavailableError also if it was closed meanwhile: another process took this one for dead.
        """
        answer = await self._answer(run, outcome, conclusion)
        if signed:
            await self._sign(answer)
        closing: list[Change] = [CloseAccount(run.account)] if run.account else []
        try:
            entries = await self.books.commit(
                *closing, *await asyncio.to_thread(self._end, run, answer, event)
            )
        except ConflictError as error:  # not as a conflict: that would say that nothing was done
            raise LogUnavailableError("the run was closed before its end was recorded") from error
        return answer, entries[0]

    async def _account(self, principal: Principal, run_id: str) -> OpenAccount:
        """One bounded sub-account: the rule's amount, or what the caller has left if that is less."""
        limit = self.budget_usd_micros
        parent = await self.books.account(principal.account)
        left_usd_micros = None if parent is None else parent.left_usd_micros
        if self.enforced and left_usd_micros is not None:
            limit = max(1, min(limit, left_usd_micros))  # of nothing, the commit refuses and says it
        return OpenAccount(account_of_run(run_id), limit, principal.account, self.enforced)

    def _acceptance(self, run: Accepted, sandbox: Mapping[str, str]) -> list[Change]:
        now_ns = self.clock.now_ns()
        front, raw = run.admitted.document.parsed.front, run.admitted.document.raw
        digest, inputs = _sha256(raw), json.dumps(run.admitted.inputs, sort_keys=True).encode()
        fields = {
            **_common_fields(run),
            "document_sha256": digest,
            "document_bytes": len(raw),
            "document_id": front.id,
            "signer": run.signer,
            "inputs_sha256": _sha256(inputs),
            "sandbox": sandbox,
        }
        name = run.principal.name
        return [
            AcceptRun(run.id, name, now_ns, digest, len(raw), front.origin, run.signer, self.owner),
            Append(Event(EventType.RUN_ACCEPTED, now_ns, name, fields)),
            self._object(run, "document", raw),
            self._object(run, "inputs", inputs),
        ]

    async def _answer(self, run: Accepted, outcome: Outcome, conclusion: Conclusion) -> dict[str, object]:
        duration_ms = (self.clock.monotonic_ns() - run.started_ns) // NS_PER_MS
        return {
            "status": "success" if conclusion.success else "failed",
            "run_id": run.id,
            "result": conclusion.result,
            "error": conclusion.error or None,
            "outputs": run_answer.outputs(outcome.blocks),
            "usage": run_answer.usage(await self.books.run_usage(run.id)),
            "signer": run.signer,
            "sandbox": {"backend": outcome.backend, "level": outcome.level.value},
            "verification": run.admitted.plan.verification,
            "warnings": [asdict(warning) for warning in run.admitted.warnings],
            "duration_ms": duration_ms,
            "execution_time": f"{duration_ms}ms",
            "signature": None,
            "quantum_checksum": None,
        }

    async def _sign(self, answer: dict[str, object]) -> None:
        """Sign the answer as it is before the two members that hold the signature are filled in."""
        digest = await asyncio.to_thread(receipt.answer_sha256, answer)
        claims = {"run_id": answer["run_id"], "answer_sha256": digest}
        answer["signature"] = await self.signer.answer(Statement(claims))
        answer["quantum_checksum"] = digest

    def _end(self, run: Accepted, answer: Mapping[str, object], event: RunEvent) -> list[Change]:
        now_ns = self.clock.now_ns()
        fields = {
            **_common_fields(run),
            **run_answer.finished_fields(answer),
            "document_sha256": _sha256(run.admitted.document.raw),
            "answer_sha256": receipt.answer_sha256(answer),
        }
        name = run.principal.name
        keeping = [receipt.kept(run.request_id, name, now_ns)] if run.admitted.wants_receipt else []
        return [
            FinishRun(run.id, event, now_ns),
            Append(Event(EventType.RUN_FINISHED, now_ns, name, fields)),
            *keeping,
            self._object(run, "answer", orjson.dumps(answer)),
        ]

    def _object(self, run: Accepted, kind: str, content: bytes) -> PutObject:
        subject = run.principal.name
        sealed = self.quad.seal(content, subject, purpose=object_purpose(run.id, kind))
        return PutObject(run.id, kind, subject, sealed)


def account_of_run(run_id: str) -> str:
    """The account of a run that may call models."""
    return f"run/{run_id}"


def object_purpose(run_id: str, kind: str) -> str:
    """What an object of a run is sealed for: moved to another run, it does not open."""
    return f"run/{run_id}/{kind}"


def _common_fields(run: Accepted) -> dict[str, object]:
    """What both entries of a run say."""
    return {
        "run_id": run.id,
        "request_id": run.request_id,
        "principal": run.principal.name,
        "key_id": run.principal.key_id,
        "origin": run.admitted.document.parsed.front.origin,
        "rights": [*run.admitted.authorised.rights.uris],
    }


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
