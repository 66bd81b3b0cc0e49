"""A gate over stateful fakes, spoken to in-process or over a real socket."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from macroslow.adapters.system import SystemEntropy
from macroslow.authn.keyring import KeyRing
from macroslow.authn.ports import KeyRecord, PutKey
from macroslow.authn.principal import Principal
from macroslow.authz import scopes as known_scopes
from macroslow.errors import LogUnavailableError, NotFoundError
from macroslow.inference.operation import Operation
from macroslow.inference.trace import TraceParent
from macroslow.metering.ledger import Account, OpenAccount, UsageRow
from macroslow.services.calls.answer_once import AnswerOnce
from macroslow.services.documents.admit_document import Submission
from macroslow.services.identity.authenticate import Authenticate
from macroslow.services.identity.manage_keys import ManageKeys, NewKey
from macroslow.services.identity.record_security import RecordSecurity
from macroslow.services.spending.read_figures import Figures
from macroslow.tlog.event import Event
from macroslow.tlog.ports import Append, Entry
from macroslow.web.application import Application
from macroslow.web.gate import Gate, GateSettings
from macroslow.web.lifecycle import Lifecycle
from macroslow.web.messages import Message, Receive, Scope, Send
from macroslow.web.metrics import Metrics
from macroslow.web.routes import ROUTES

PEPPER = bytes(range(32))
START_NS = 1_800_000_000_000_000_000
TILES = {"tile/0/000.p/5": bytes(5 * 32), "tile/entries/000.p/5": b"\0\1x" * 5}


class FakeClock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.ns = START_NS

    def now_ns(self) -> int:
        return self.ns

    def monotonic_ns(self) -> int:
        return self.ns

    def pass_s(self, seconds: float) -> None:
        self.ns += int(seconds * 1e9)


class FakeBooks:
    """Keys, accounts and events in memory; `down` makes every commit fail."""

    def __init__(self) -> None:
        self.records: dict[str, KeyRecord] = {}
        self.accounts: dict[str, Account] = {}
        self.events: list[Event] = []
        self.commits: list[tuple[object, ...]] = []
        self.down = False

    async def commit(self, *changes: object) -> list[Entry]:
        await asyncio.sleep(0)
        if self.down:
            raise LogUnavailableError("the disk is full")
        self.commits.append(changes)
        entries = []
        for change in changes:
            match change:
                case PutKey(record):
                    self.records[record.id] = record
                case OpenAccount(id, limit):
                    self.accounts[id] = Account(id, None, limit, 0, 0)
                case Append(event):
                    entries.append(Entry(len(self.events), bytes(78), b"{}", bytes(16)))
                    self.events.append(event)
                case _:
                    raise AssertionError(change)
        return entries

    async def keys(self) -> list[KeyRecord]:
        return list(self.records.values())

    async def key_uses(self) -> dict[str, int]:
        return {}

    async def account(self, account_id: str) -> Account | None:
        return self.accounts.get(account_id)


class FakeRuns:
    """The runs of `alice`; whoever else asks finds nothing."""

    def __init__(self) -> None:
        self.known = {"alice": {"r1": {"run_id": "r1", "state": "success"}}}
        self.event_gate = asyncio.Event()
        self.event_gate.set()
        self.closed_streams = 0

    def _run(self, principal: Principal, run_id: str) -> dict[str, object]:
        try:
            return dict(self.known[principal.name][run_id])
        except KeyError:
            raise NotFoundError("no such run") from None

    async def list(self, principal: Principal) -> list[dict[str, object]]:
        return [dict(run) for run in self.known.get(principal.name, {}).values()]

    async def show(self, principal: Principal, run_id: str) -> dict[str, object]:
        return self._run(principal, run_id)

    async def document(self, principal: Principal, run_id: str) -> bytes:
        self._run(principal, run_id)
        return b"---\noriginal\r\nbytes \xff"

    async def history(self, principal: Principal, run_id: str) -> str:
        self._run(principal, run_id)
        return "a.b.c"

    async def receipt(self, principal: Principal, run_id: str) -> dict[str, object]:
        return {"receipt_of": self._run(principal, run_id)["run_id"]}

    async def events(self, principal: Principal, run_id: str) -> AsyncIterator[dict[str, object]]:
        run = self._run(principal, run_id)
        try:
            yield {**run, "state": "running"}
            await self.event_gate.wait()
            yield run
        finally:
            self.closed_streams += 1

    async def cancel(self, principal: Principal, run_id: str) -> dict[str, object]:
        return {**self._run(principal, run_id), "cancelling": True}


@dataclass
class Seen:
    """What reached the use cases."""

    chats: list[tuple[Principal, bytes, str, str]] = field(default_factory=list)
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    parents: list[TraceParent | None] = field(default_factory=list)
    receipts: dict[tuple[str, str], dict[str, object]] = field(
        default_factory=lambda: {("alice", "r1"): {"receipt_of": "r1"}}
    )
    submissions: list[Submission] = field(default_factory=list)
    mcp: list[tuple[Principal, bytes]] = field(default_factory=list)
    guessing: list[str] = field(default_factory=list)


@dataclass
class House:
    """A gate with everything behind it."""

    gate: Gate
    application: Application
    books: FakeBooks
    clock: FakeClock
    keyring: KeyRing
    keys: ManageKeys
    authenticate: Authenticate
    security: RecordSecurity
    runs: FakeRuns
    seen: Seen
    key: str = ""
    other_key: str = ""

    async def new_key(self, principal: str = "alice", **changes: Any) -> str:
        created = await self.keys.create(NewKey(principal, **changes))
        return created.text

    async def ask(
        self,
        method: str,
        path: str,
        *,
        key: str | None = "",
        headers: Iterable[tuple[str, str]] = (),
        body: bytes = b"",
        content_type: str = "application/json",
        client: tuple[str, int] | None = ("127.0.0.1", 5000),
    ) -> "Answer":
        """One request in-process; `key` "" means the house's own, None none at all."""
        own = [("host", "127.0.0.1:8000")]
        if key is not None:
            own.append(("x-api-key", key or self.key))
        if body:
            own += [("content-length", str(len(body))), ("content-type", content_type)]
        names = {name for name, _ in headers}
        raw = [
            (n.encode("latin-1"), v.encode("latin-1"))
            for n, v in [*(h for h in own if h[0] not in names), *headers]
        ]
        return await call(self.gate, method, path, raw, body, client)


@dataclass
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes
    body_reads: int
    chunks: list[bytes]

    @property
    def json(self) -> Any:
        import json

        return json.loads(self.body)


async def call(
    app: Any,
    method: str,
    path: str,
    headers: list[tuple[bytes, bytes]],
    body: bytes = b"",
    client: tuple[str, int] | None = ("127.0.0.1", 5000),
    receive: Receive | None = None,
) -> Answer:
    """Speak ASGI to an application."""
    raw_path, _, query = path.partition("?")
    scope = {
        "type": "http",
        "method": method,
        "raw_path": raw_path.encode("latin-1"),
        "path": raw_path,
        "query_string": query.encode("latin-1"),
        "headers": headers,
        "client": client,
        "state": {},
    }
    sent: list[Message] = []
    reads_at_start = 0
    reads = 0

    async def whole_body() -> Message:
        nonlocal reads
        reads += 1
        if reads > 1:
            await asyncio.get_running_loop().create_future()
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Message) -> None:
        nonlocal reads_at_start
        if message["type"] == "http.response.start":
            reads_at_start = reads
        sent.append(message)

    await app(scope, receive or whole_body, send)
    if not sent:
        return Answer(0, {}, b"", reads, [])
    start, *rest = sent
    chunks = [message.get("body", b"") for message in rest]
    decoded = {name.decode(): value.decode("latin-1") for name, value in start["headers"]}
    assert len(decoded) == len(start["headers"]), "a header is there twice"
    return Answer(start["status"], decoded, b"".join(chunks), reads_at_start, chunks)


async def build(settings: GateSettings | None = None, routes: Any = ROUTES, **replacements: Any) -> House:
    """A house with one key that may do everything, and one of another principal."""
    from macroslow.metering.ledger import Usage
    from macroslow.services.calls.settle_call import ModelAnswer

    books, clock, keyring, seen, runs = FakeBooks(), FakeClock(), KeyRing(), Seen(), FakeRuns()
    keys = ManageKeys(books, keyring, PEPPER, clock, SystemEntropy())  # type: ignore[arg-type]

    async def call_model(
        principal: Principal,
        operation: Operation,
        body: bytes,
        *,
        request_id: str,
        tag: str = "",
        headers: Mapping[str, str] = {},
        parent: TraceParent | None = None,
        wants_receipt: bool = False,
    ) -> ModelAnswer:
        seen.chats.append((principal, body, request_id, tag))
        seen.asked.append((operation.name, dict(headers)))
        seen.parents.append(parent)
        if wants_receipt:
            seen.receipts[principal.name, request_id] = {"receipt_of": request_id}
        headers = {"content-type": "application/json", "x-macroslow-cost-usd": "0.000012"}
        return ModelAnswer(200, headers, b'{"choices":[]}', Usage(3, 4, 12), 0)

    async def execute(principal: Principal, submission: Submission, *, request_id: str) -> dict[str, object]:
        seen.submissions.append(submission)
        if submission.wants_receipt:
            seen.receipts[principal.name, request_id] = {"receipt_of": request_id}
        return {"status": "success", "request_id": request_id}

    async def receipts(principal: Principal, request_id: str) -> dict[str, object]:
        try:
            return seen.receipts[principal.name, request_id]
        except KeyError:
            raise NotFoundError("there is no receipt of such a request") from None

    async def validate(principal: Principal, submission: Submission) -> dict[str, object]:
        seen.submissions.append(submission)
        return {"valid": True}

    async def count_tokens(body: bytes, principal: Principal) -> int:
        return len(body)

    async def own_usage(principal: Principal, **days: str) -> dict[str, object]:
        return {"principal": principal.name, **days}

    async def checkpoint() -> bytes:
        return b"log.example/1\n5\nhash\n"

    async def tile(path: str) -> bytes:
        if path not in TILES:
            raise NotFoundError("the log has no such file")
        return TILES[path]

    async def figures() -> Figures:
        return Figures([UsageRow("gpt-5", 2, 10, 20, 30, 0, None)])

    async def mcp(scope: Scope, receive: Receive, send: Send) -> None:
        message = await receive()
        seen.mcp.append((scope["state"]["principal"], message["body"]))
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b'{"jsonrpc":"2.0"}', "more_body": False})

    lifecycle = Lifecycle()
    lifecycle.serve()
    application = Application(
        call_model=call_model,
        answer_once=AnswerOnce(books, clock),  # type: ignore[arg-type]
        models=lambda dialect: {"object": "list", "data": [], "dialect": dialect},
        model=lambda name, dialect: {"id": name, "dialect": dialect},
        count_tokens=count_tokens,
        own_usage=own_usage,
        execute_document=execute,
        validate_document=validate,
        runs=runs,
        receipts=receipts,
        info=lambda: {"version": "0"},
        ready=list,
        checkpoint=checkpoint,
        tile=tile,
        figures=figures,
        mcp=mcp,
        metrics=Metrics(),
        lifecycle=lifecycle,
        guessing=seen.guessing.append,
    )
    application = replace(application, **replacements)
    security = RecordSecurity(books, clock)  # type: ignore[arg-type]
    authenticate = Authenticate(keyring, PEPPER, clock)
    gate = Gate(application, routes, authenticate, security, clock, SystemEntropy(), settings)
    house = House(gate, application, books, clock, keyring, keys, authenticate, security, runs, seen)
    house.key = await house.new_key("alice", scopes=known_scopes.CLIENT)
    house.other_key = await house.new_key("mallory", scopes=known_scopes.CLIENT)
    return house
