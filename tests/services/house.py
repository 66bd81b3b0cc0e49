"""One gateway's use cases on a real file, with its own keys and signer; only what runs code is a stand-in."""

import asyncio
import base64
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import orjson
from tests.services.model_fakes import chat_on

from macroslow.adapters.signer import Engine, HighWaterMarks, LocalSigner
from macroslow.adapters.sqlite import SqliteBooks
from macroslow.adapters.system import SystemClock, SystemEntropy
from macroslow.authn.jwt.revoked import Revocations
from macroslow.authn.keyring import KeyRing
from macroslow.authn.principal import Principal
from macroslow.authz import scopes
from macroslow.crypto.hybrid import HybridPrivateKey, KeyUse
from macroslow.crypto.quad import LAYERS, Quad, Root
from macroslow.errors import LogUnavailableError
from macroslow.maml.plan import Runtime
from macroslow.maml.rights import OperatorRights
from macroslow.maml.stages import SignatureRule
from macroslow.mcp.ask import Handler
from macroslow.metering.ledger import OpenAccount
from macroslow.services.administration import Administration
from macroslow.services.agents.document_tools import DocumentTools
from macroslow.services.agents.model_tools import ModelTools
from macroslow.services.agents.proof_tools import ProofTools
from macroslow.services.agents.run_tools import RunTools
from macroslow.services.agents.spending_tools import SpendingTools
from macroslow.services.audit.audit_verbs import AuditVerbs
from macroslow.services.audit.log_key_verbs import LogKeyVerbs
from macroslow.services.calls.call_api import CallAPI
from macroslow.services.calls.call_model import CallModel
from macroslow.services.calls.count_tokens import CountTokens
from macroslow.services.calls.list_models import ListModels
from macroslow.services.documents.admit_document import AdmitDocument, DocumentRules
from macroslow.services.documents.execute_document import ExecuteDocument, Stop
from macroslow.services.documents.read_runs import ReadRuns
from macroslow.services.documents.record_runs import RecordRuns
from macroslow.services.documents.run_egress import RunEgress
from macroslow.services.documents.run_verb import RunVerb
from macroslow.services.documents.validate_document import ValidateDocument
from macroslow.services.documents.verify_document import VerifyDocument
from macroslow.services.erasure.erase_subject import EraseSubjects
from macroslow.services.identity.explain_rights import ExplainRights
from macroslow.services.identity.explain_tokens import ExplainTokens
from macroslow.services.identity.jwt_verbs import JWTVerbs
from macroslow.services.identity.key_verbs import KeyVerbs
from macroslow.services.identity.manage_keys import ManageKeys
from macroslow.services.identity.manage_revocations import ManageRevocations
from macroslow.services.identity.manage_signers import ManageSigners
from macroslow.services.identity.rights_verbs import RightsVerbs
from macroslow.services.identity.signer_verbs import SignerVerbs
from macroslow.services.proofs.kept_receipts import KeptReceipts
from macroslow.services.proofs.prove_entry import ProveEntry
from macroslow.services.proofs.prove_own import ProveOwn
from macroslow.services.proofs.rotate_log_key import RotateLogKey
from macroslow.services.signing.checkpoint_log import CheckpointLog
from macroslow.services.signing.log_health import LogHealth
from macroslow.services.spending.report_usage import ReportUsage
from macroslow.services.spending.usage_verbs import UsageVerbs
from macroslow.settings.log import HoldDays
from macroslow.tlog.checkpoint import LogPrivateKey, LogPublicKey
from macroslow.tlog.event import Event, EventType
from macroslow.tlog.ports import Append, Entry
from macroslow.tlog.succession import Retired
from macroslow.workflow.books import Change
from macroslow.workflow.outside import OutsideAnswer
from macroslow.workflow.sandbox import (
    BlockOutcome,
    BlockStatus,
    EgressServer,
    Job,
    Level,
    Limits,
    Outcome,
)

ORIGIN = "tests.example/log"
ENTROPY = SystemEntropy()
CLOCK = SystemClock()
Ask = Callable[..., Awaitable[Any]]


def base64_of(raw: bytes) -> str:
    """As documents and proofs travel in a verb's arguments."""
    return base64.b64encode(raw).decode()


OPERATOR_RIGHTS = OperatorRights(("local",), frozenset({"openai"}), frozenset({"weather"}), circuits=False)
GRANTS = ("gateway://*", "api://*")
ANN = Principal("ann", "key/ann", "ann0", scopes=scopes.CLIENT, grants=GRANTS)
BOB = Principal("bob", "key/bob", "bob0", scopes=scopes.CLIENT, grants=GRANTS)


class ShakyBooks(SqliteBooks):
    """Books on a real file whose commits may be told to fail, or to wait for leave."""

    fails: Callable[[Sequence[Change]], bool] = staticmethod(lambda _: False)  # type: ignore[assignment]
    leave: asyncio.Event | None = None
    waiting = False

    async def commit(self, *changes: Change) -> list[Entry]:
        if self.leave is not None:
            self.waiting = True
            await self.leave.wait()
        if self.fails(changes):
            raise LogUnavailableError("no space left")
        return await super().commit(*changes)

    def fail_once(self, kind: type) -> None:
        """Refuse the next commit that has a change of this kind."""
        left = [1]

        def fails(changes: Sequence[Change]) -> bool:
            if left and any(isinstance(change, kind) for change in changes):
                left.pop()
                return True
            return False

        self.fails = fails  # type: ignore[method-assign]


class NoKeyFiles:
    """Where a signer's keys are not kept: they are gone with it."""

    def stage(self, key: LogPrivateKey) -> None:
        """Nothing to write."""

    def switch(self, retired: Retired) -> None:
        """Nothing to destroy."""


class SlowSigner(LocalSigner):
    """The real signer, which waits for `leave` before it signs a checkpoint, if there is one."""

    leave: asyncio.Event | None = None
    asked = 0
    broken = False

    async def checkpoint(self, size: int, root: bytes, proof: Sequence[bytes]) -> bytes:
        self.asked += 1
        if self.broken:
            raise LogUnavailableError("the signer is away")
        note = await super().checkpoint(size, root, proof)
        if self.leave is not None:
            await self.leave.wait()
        return note

    async def answer(self, statement: object) -> str:
        if self.broken:
            raise LogUnavailableError("the signer is away")
        return await super().answer(statement)  # type: ignore[arg-type]


@cache
def _any_keys() -> "Keys":
    """Keys for tests that do not care: making them takes longer than most of these tests."""
    return Keys.new()


@dataclass
class FakeSandbox:
    """Runs no code: `work` says what came of a job. It knows what is under way and was cut off."""

    work: Callable[[Job], object] = lambda job: succeeded(job, b'{"sum": 42}')
    level: Level = Level.FULL
    backend: str = "fake"
    jobs: list[Job] = field(default_factory=list)
    under_way: int = 0
    most_under_way: int = 0
    cut_off: int = 0
    started: asyncio.Event = field(default_factory=asyncio.Event)
    hold: asyncio.Event | None = None

    async def run(self, job: Job, serve_egress: EgressServer | None = None) -> Outcome:
        self.jobs.append(job)
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        self.started.set()
        try:
            if self.hold is not None:
                await self.hold.wait()
            outcome = self.work(job)
            if asyncio.iscoroutine(outcome):
                outcome = await outcome
            if isinstance(outcome, BaseException):
                raise outcome
            assert isinstance(outcome, Outcome)
            return outcome
        except asyncio.CancelledError:
            self.cut_off += 1
            raise
        finally:
            self.under_way -= 1

    async def close(self) -> None:
        """Nothing to end."""


def succeeded(job: Job, result_json: bytes | None) -> Outcome:
    blocks = tuple(
        BlockOutcome(block.language, block.name, BlockStatus.OK, 0, "out", "", 3) for block in job.blocks
    )
    return Outcome(blocks, result_json, "fake", Level.FULL)


def paper(
    *blocks: str, execute: str = "gateway://local", front: str = "", body: str = "", origin: str = "tester"
) -> bytes:
    """A document with these Python blocks and rights."""
    rights = ", ".join(f'"{uri}"' for uri in execute.split())
    head = f"""---
maml_version: "2.0.0"
id: urn:uuid:11111111-2222-4333-8444-555555555555
type: workflow
origin: agent://{origin}
permissions:
  execute: [{rights}]
{front}---

## Intent

Test.

## Context

None.
"""
    code = "".join(f"\n```python\n{block}\n```\n" for block in blocks)
    return f"{head}{chr(10) + '## Code_Blocks' + chr(10) + code if code else ''}{body}".encode()


WARM = OutsideAnswer(200, "application/json", b'{"t": 21}')


@dataclass
class FakeAPI:
    """One outside API that answers at once, fails, or waits."""

    answer: OutsideAnswer | BaseException = WARM
    asked: list[tuple[str, str]] = field(default_factory=list)
    hold: asyncio.Event | None = None

    async def get(self, path: str, query: str) -> OutsideAnswer:
        self.asked.append((path, query))
        if self.hold is not None:
            await self.hold.wait()
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer


@dataclass
class House:
    """Everything of one gateway but its edges. `egress` collects what runs were given as their way out."""

    books: ShakyBooks
    signer: SlowSigner
    quad: Quad
    checkpoints: CheckpointLog
    prove: ProveEntry
    signers: ManageSigners
    keys: ManageKeys
    log_key: LogPublicKey
    answer_key: HybridPrivateKey
    sandbox: FakeSandbox
    chat: CallModel
    api: FakeAPI
    execute: ExecuteDocument
    validate: ValidateDocument
    runs: ReadRuns
    egress: list[RunEgress]

    @property
    def administration(self) -> Administration:
        return Administration(
            KeyVerbs(self.keys),
            SignerVerbs(self.signers),
            self.jwt,
            RightsVerbs(ExplainRights(self.keys, OPERATOR_RIGHTS)),
            UsageVerbs(self.usage),
            AuditVerbs(self.books, self.checkpoints, self.prove, self.signer, self.erasure),
            RunVerb(LogHealth(), self.execute),
            LogKeyVerbs(self.signer, self.change_log_key, shared=False),
        )

    @property
    def change_log_key(self) -> RotateLogKey:
        return RotateLogKey(self.books, self.signer, self.checkpoints, self.prove, CLOCK)

    @property
    def erasure(self) -> EraseSubjects:
        return EraseSubjects(self.books, CLOCK, ENTROPY, HoldDays().in_ns(), self.keys.load)

    @property
    def jwt(self) -> JWTVerbs:
        revocations = ManageRevocations(self.books, Revocations(), (), CLOCK)
        return JWTVerbs(revocations, ExplainTokens(self.keys, None), None)

    @property
    def usage(self) -> ReportUsage:
        return ReportUsage(self.books, (), CLOCK)

    @property
    def handlers(self) -> Mapping[str, Handler]:
        """The tools of agents, but those for images."""
        proofs = ProofTools(
            KeptReceipts(self.books, self.prove, CLOCK),
            ProveOwn(self.books, self.prove),
            lambda: self.signer.keys,
        )
        documents = DocumentTools(self.execute, self.validate, VerifyDocument(self.signers, CLOCK))
        quote = self.chat.quote
        models = ModelTools(self.chat, CountTokens(quote), ListModels(quote.providers, quote.catalogue))
        tables = (documents, RunTools(self.runs), models, SpendingTools(self.usage), proofs)
        return {name: handler for each in tables for name, handler in each.handlers.items()}

    async def ask(self, verb: str, **arguments: object) -> Any:
        """What a verb returns, once it has been JSON."""
        return orjson.loads(orjson.dumps(await self.administration.perform(verb, arguments)))

    async def events(self, event_type: EventType | None = None) -> list[dict[str, object]]:
        """The fields of the log's entries, of one type or all."""
        opened = await self.books.entries(0, 10_000)
        return [
            orjson.loads(one.event or b"null")["fields"]
            for one in opened
            if event_type is None or one.type == event_type
        ]

    async def note(self, count: int = 1, subject: str = "tests") -> None:
        """Add entries to the log."""
        for number in range(count):
            event = Event(EventType.SERVER_STARTED, CLOCK.now_ns(), subject, {"number": number})
            await self.books.commit(Append(event))


@asynccontextmanager
async def open_house(
    folder: Path,
    *,
    signatures: str = "optional",
    chat: Callable[[ShakyBooks], CallModel] | None = None,
    budgets: dict[str, int | None] | None = None,
    run_budget_usd_micros: int = 1_000_000,
    slots: int = 4,
    keys: "Keys | None" = None,
) -> AsyncIterator[House]:
    """Open the books in `folder`, which may hold some already, and put everything on them."""
    keys = keys or _any_keys()
    quad = Quad(keys.roots, ENTROPY)
    books = await ShakyBooks.open(
        folder / "books.sqlite", sealer=quad, entropy=ENTROPY, clock=CLOCK, commit_window_ns=0
    )
    try:
        yield await _house(books, quad, keys, signatures, chat, budgets, run_budget_usd_micros, slots)
    finally:
        await books.close()


@dataclass(frozen=True)
class Keys:
    """A gateway's own keys, in memory."""

    roots: tuple[Root, ...]
    log: LogPrivateKey
    answer: HybridPrivateKey
    history: HybridPrivateKey

    @classmethod
    def new(cls) -> "Keys":
        return cls(
            tuple(Root(ENTROPY.random(16), 1, ENTROPY.random(64)) for _ in range(LAYERS)),
            LogPrivateKey.generate(ORIGIN, ENTROPY),
            HybridPrivateKey.generate(KeyUse.ANSWER, ENTROPY),
            HybridPrivateKey.generate(KeyUse.HISTORY, ENTROPY),
        )


async def _house(
    books: ShakyBooks,
    quad: Quad,
    keys: Keys,
    signatures: str,
    chat: Callable[[ShakyBooks], CallModel] | None,
    budgets: dict[str, int | None] | None,
    run_budget_usd_micros: int,
    slots: int,
) -> House:
    for account in (ANN.account, BOB.account, "operator"):
        await books.commit(OpenAccount(account, (budgets or {}).get(account)))
    signer = SlowSigner(
        Engine(
            log_key=keys.log,
            answer_key=keys.answer,
            history_key=keys.history,
            clock=CLOCK,
            entropy=ENTROPY,
            marks=HighWaterMarks(None),
            files=NoKeyFiles(),
        )
    )
    checkpoints = CheckpointLog(books, signer)
    await checkpoints.load()
    prove = ProveEntry(books, checkpoints)
    signers = ManageSigners(books, CLOCK)
    await signers.load()
    rules = DocumentRules(
        SignatureRule(signatures),
        OPERATOR_RIGHTS,
        Runtime({}, noise_models=frozenset()),
    )
    admit = AdmitDocument(signers, rules, CLOCK)
    complete = (chat or chat_on)(books)
    sandbox, api, under_way = FakeSandbox(), FakeAPI(), dict[str, Stop]()
    egress: list[RunEgress] = []
    call_api = CallAPI({"weather": api}, books, CLOCK)
    execute = ExecuteDocument(
        admit=admit,
        record=RecordRuns(books, signer, quad, CLOCK, ENTROPY, run_budget_usd_micros, "house"),
        sandbox=sandbox,
        call_model=complete,
        call_api=call_api,
        open_egress=lambda run: egress.append(run) or _no_server,  # type: ignore[func-returns-value]
        prove=prove,
        entropy=ENTROPY,
        limits=Limits(),
        under_way=under_way,
        slots=asyncio.Semaphore(slots),
    )
    return House(
        books=books,
        signer=signer,
        quad=quad,
        checkpoints=checkpoints,
        prove=prove,
        signers=signers,
        keys=ManageKeys(books, KeyRing(), b"p" * 32, CLOCK, ENTROPY),
        log_key=keys.log.public,
        answer_key=keys.answer,
        sandbox=sandbox,
        chat=complete,
        api=api,
        execute=execute,
        validate=ValidateDocument(admit),
        runs=ReadRuns(books, quad, signer, prove, under_way),
        egress=egress,
    )


@asynccontextmanager
async def _no_server(_: object) -> AsyncIterator[None]:
    """A run's way out, never connected: tests call what it leads to."""
    yield
