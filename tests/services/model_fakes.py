"""Stateful stand-ins for what a chat call touches: books with the money rules, a provider with a script."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import orjson
from tests.contract.fake_books import FakeBooks
from tests.metering.vocabulary import catalogue, counters

from macroslow.adapters.system import SystemClock
from macroslow.authn.principal import Principal
from macroslow.authz.scopes import INFERENCE_CHAT
from macroslow.inference import CHAT_COMPLETIONS
from macroslow.inference.dialect import Dialect
from macroslow.inference.operation import Operation
from macroslow.inference.ports import NotReached, Provider, ProviderAnswer, ProviderStream
from macroslow.limits.admission import AccountQuota, Quota
from macroslow.metering.budgets import BudgetRule
from macroslow.metering.catalogue import Catalogue
from macroslow.metering.ledger import Account, OpenAccount, Settle
from macroslow.ports import FreshNames
from macroslow.services.calls.admission import Admission
from macroslow.services.calls.call_model import NAME_BYTES, CallModel
from macroslow.services.calls.off_loop import OffLoop
from macroslow.services.calls.quote_call import QuoteCall
from macroslow.services.calls.reach_provider import ReachProvider
from macroslow.services.calls.settle_call import SettleCall
from macroslow.tlog.ports import Entry
from macroslow.workflow.books import Change

PRINCIPAL = Principal("ann", "key/k1", "k1", scopes=frozenset({INFERENCE_CHAT}))
USAGE = {"prompt_tokens": 9, "completion_tokens": 5, "total_tokens": 14}
DONE = b"data: [DONE]\n\n"


def request(**changes) -> bytes:
    base = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 100}
    return orjson.dumps({name: value for name, value in {**base, **changes}.items() if value is not None})


def answer(status: int = 200, *, content: str = "hello world", usage: object = USAGE) -> ProviderAnswer:
    body = {"choices": [{"index": 0, "message": {"role": "assistant", "content": content}}], "usage": usage}
    return ProviderAnswer(status, {"content-type": "application/json"}, orjson.dumps(body))


def delta(text: str) -> bytes:
    return b"data: " + orjson.dumps({"choices": [{"index": 0, "delta": {"content": text}}]}) + b"\n\n"


def usage_event(usage: object = USAGE) -> bytes:
    return b"data: " + orjson.dumps({"choices": [], "usage": usage}) + b"\n\n"


class Counting:
    """Entropy that never repeats, nor do pieces of what was drawn at once."""

    def __init__(self) -> None:
        self.drawn = 0

    def random(self, size_bytes: int) -> bytes:
        piece_bytes = min(size_bytes, 8)
        pieces = range(self.drawn + 1, self.drawn + 1 + -(-size_bytes // piece_bytes))
        self.drawn = pieces[-1]
        return b"".join(each.to_bytes(piece_bytes, "big") for each in pieces)[:size_bytes]


class SlowBooks(FakeBooks):
    """Books whose commits take a few turns of the loop and, once begun, are made whoever stops waiting."""

    def __init__(self) -> None:
        super().__init__()
        self.broken = False
        self.events: list[dict[str, object]] = []
        self.settled: list[Settle] = []
        self._begun: set[asyncio.Task[list[Entry]]] = set()

    async def account(self, account_id: str) -> Account | None:
        await asyncio.sleep(0)
        return await super().account(account_id)

    async def commit(self, *changes: Change) -> list[Entry]:
        task = asyncio.get_running_loop().create_task(self._commit(changes))
        self._begun.add(task)
        task.add_done_callback(self._begun.discard)
        return await asyncio.shield(task)

    async def _commit(self, changes: tuple[Change, ...]) -> list[Entry]:
        for _ in range(3):
            await asyncio.sleep(0)
        self.fail_next_commit = self.broken
        entries = await super().commit(*changes)
        self.events += [orjson.loads(entry.event)["fields"] for entry in entries]
        self.settled += [change for change in changes if isinstance(change, Settle)]
        return entries

    def open_account(self, account_id: str, limit_usd_micros: int | None, parent: str | None = None) -> None:
        self._apply([OpenAccount(account_id, limit_usd_micros, parent)])

    async def drain(self) -> None:
        """Wait for commits that were begun."""
        if self._begun:
            await asyncio.wait(set(self._begun))

    @property
    def held(self) -> bool:
        return any(name not in self._state.settlements for name in self._state.reservations)

    @property
    def last(self) -> Settle:
        return self.settled[-1]


@dataclass
class ScriptedProvider:
    """Answers with `script(body)`: an answer, a list of a stream's chunks, NotReached, or an error.

    It checks that every call it gets has a durable reservation; `turns` makes each step take a while.
    """

    books: SlowBooks | None
    script: Callable[[dict[str, object]], object] = lambda _: answer()
    name: str = "openai"
    dialect: Dialect = Dialect.OPENAI
    emulator: bool = False
    turns: int = 0
    bodies: list[dict[str, object]] = field(default_factory=list)
    under_way: int = 0
    most_under_way: int = 0
    hold: asyncio.Event | None = None
    label: str = "openai"

    @property
    def account(self) -> str:
        return self.label

    async def complete(
        self, path: str, body: bytes, *, headers: Mapping[str, str] = {}, deadline_s: float
    ) -> ProviderAnswer | NotReached:
        async with self.stream(path, body, headers=headers, deadline_s=deadline_s) as reached:
            return reached

    @asynccontextmanager
    async def stream(
        self, path: str, body: bytes, *, headers: Mapping[str, str] = {}, deadline_s: float
    ) -> AsyncIterator[object]:
        assert self.books is None or self.books.held, "sent before the reservation was durable"
        asked = orjson.loads(body)
        self.bodies.append(asked)
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            await self._turns()
            if self.hold is not None:
                await self.hold.wait()
            outcome = self.script(asked)
            if isinstance(outcome, BaseException):
                raise outcome
            if isinstance(outcome, list):
                yield ProviderStream({"content-type": "text/event-stream"}, self._chunks(outcome))
            else:
                yield outcome
        finally:
            self.under_way -= 1

    async def _chunks(self, chunks: list[object]) -> AsyncIterator[bytes]:
        for chunk in chunks:
            await self._turns()
            if isinstance(chunk, BaseException):
                raise chunk
            if isinstance(chunk, asyncio.Event):
                await chunk.wait()
            else:
                yield chunk

    async def _turns(self) -> None:
        for _ in range(self.turns):
            await asyncio.sleep(0)


def call_on(
    books: object,
    providers: Mapping[str, Mapping[str, Provider]],
    admission: Admission,
    entropy: object,
    *,
    models: Catalogue | None = None,
    attempts: int = 1,
    deadline_s: float = 600.0,
    queue_s: float = 30.0,
    rules: Sequence[BudgetRule] = (),
    enforced: bool = True,
) -> CallModel:
    """The use case, put together as the gateway does."""
    clock = SystemClock()
    off_loop = OffLoop()
    settle = SettleCall(books, admission, clock, off_loop)
    return CallModel(
        QuoteCall(providers, models or catalogue(), counters(), books, admission, off_loop),
        ReachProvider(books, admission, settle, clock, entropy, deadline_s, attempts, max_wait_s=queue_s),
        settle,
        clock,
        FreshNames(entropy, NAME_BYTES),
        owner="tests",
        rules=rules,
        enforced=enforced,
    )


def chat_on(books: object, provider: "ScriptedProvider | None" = None) -> CallModel:
    """The use case on other books, with a provider that answers at once."""
    providers = {"openai": {"openai": provider or ScriptedProvider(None)}}
    return call_on(books, providers, Admission({}, SystemClock(), RandomIds()), RandomIds())


class RandomIds:
    """Entropy as the system gives it: many use cases may share one file."""

    def random(self, size_bytes: int) -> bytes:
        return os.urandom(size_bytes)


class World:
    """The use case with everything around it; `admission` and `more` are options of the two."""

    def __init__(
        self,
        *,
        quota: Quota | None = None,
        limit_usd_micros: int | None = None,
        accounts: Sequence[str] = ("openai",),
        max_wait_s: float = 30.0,
        queue_s: float = 30.0,
        max_waiting: int = 1000,
        observe: bool = False,
        books: object | None = None,
        **more,
    ) -> None:
        self.books = SlowBooks()
        self.books.open_account("key/k1", limit_usd_micros)
        self.accounts = {label: ScriptedProvider(self.books, label=label) for label in accounts}
        self.provider = self.accounts[accounts[0]]
        lines = {("openai", "gpt-4o"): [AccountQuota(label, quota or Quota()) for label in accounts]}
        self.admission = Admission(
            lines,
            SystemClock(),
            Counting(),
            max_wait_s=max_wait_s,
            max_waiting=max_waiting,
            observe=observe,
        )
        entropy = Counting() if books is None else RandomIds()
        self.call = call_on(
            books or self.books, {"openai": self.accounts}, self.admission, entropy, queue_s=queue_s, **more
        )

    async def ask(
        self,
        body: bytes | None = None,
        principal: Principal = PRINCIPAL,
        operation: Operation = CHAT_COMPLETIONS,
        **more,
    ):
        return await self.call(principal, operation, body or request(), request_id="r1", **more)

    async def ask_all(self, body: bytes | None = None) -> bytes:
        stream = await self.ask(body or request(stream=True))
        return b"".join([chunk async for chunk in stream.chunks])

    async def assert_idle(self) -> None:
        """Nothing is under way: no reservation, no place, no connection, and each call has one entry."""
        await self.call.close()
        await self.books.drain()
        assert not self.books.held
        assert len(self.books.settled) == len(self.books.events)
        assert (await self.books.account("key/k1")).held_usd_micros == 0
        assert all(provider.under_way == 0 for provider in self.accounts.values())
        assert all(line.in_flight == 0 for line in self.admission.report())
        assert self.admission.waiting() == 0
