"""Stateful stand-ins for what a chat call touches: books with the money rules, a provider with a script."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import orjson
from tests.metering.vocabulary import catalogue, counter

from macroslow.authn.principal import Principal
from macroslow.authz.scopes import INFERENCE_CHAT
from macroslow.errors import LogUnavailableError
from macroslow.inference.ports import NotReached, ProviderAnswer, ProviderStream
from macroslow.limits.admission import Quota
from macroslow.metering.ledger import Account, OpenAccount, Reserve, Settle, opened, reserved, settled
from macroslow.services.admission import Admission
from macroslow.services.complete_chat import CompleteChat
from macroslow.tlog.ports import Append, Entry

PRINCIPAL = Principal("ann", "key/k1", frozenset({INFERENCE_CHAT}), key_id="k1")
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


class SystemClock:
    def now_ns(self) -> int:
        return time.time_ns()

    def monotonic_ns(self) -> int:
        return time.monotonic_ns()


class Counting:
    """Entropy that never repeats."""

    def __init__(self) -> None:
        self.drawn = 0

    def random(self, size_bytes: int) -> bytes:
        self.drawn += 1
        return self.drawn.to_bytes(size_bytes, "big")


class LedgerInMemory:
    """The chat's part of the books. A commit takes a few turns of the loop and, once begun, is made."""

    def __init__(self) -> None:
        self.accounts: dict[str, Account] = {}
        self.open: dict[str, Reserve] = {}
        self.settled: dict[str, Settle] = {}
        self.events: list[dict[str, object]] = []
        self.broken = False
        self.apply(OpenAccount("key/k1", None))

    async def account(self, account_id: str) -> Account | None:
        await asyncio.sleep(0)
        return self.accounts.get(account_id)

    async def commit(self, *changes: object) -> list[Entry]:
        return await asyncio.shield(asyncio.get_running_loop().create_task(self._commit(changes)))

    async def _commit(self, changes: tuple[object, ...]) -> list[Entry]:
        for _ in range(3):
            await asyncio.sleep(0)
        if self.broken:
            raise LogUnavailableError("the disk is full")
        return [entry for change in changes for entry in self.apply(change)]

    def apply(self, change: object) -> list[Entry]:
        match change:
            case OpenAccount():
                self._store(opened(self.accounts.get(change.id), change, self.accounts.__getitem__))
            case Reserve():
                assert change.id not in self.open | self.settled
                self._store(
                    reserved(self.accounts[change.account], change.usd_micros, self.accounts.__getitem__)
                )
                self.open[change.id] = change
            case Settle():
                reserve = self.open.pop(change.id)
                account = self.accounts[reserve.account]
                spent = change.usage.usd_micros
                self._store(settled(account, reserve.usd_micros, spent, self.accounts.__getitem__))
                self.settled[change.id] = change
            case Append():
                self.events.append(dict(change.event.fields))
                return [Entry(len(self.events) - 1, b"", b"", b"")]
        return []

    def _store(self, accounts: list[Account]) -> None:
        for account in accounts:
            self.accounts[account.id] = account
            limit = account.limit_usd_micros
            assert limit is None or account.spent_usd_micros + account.held_usd_micros <= limit

    @property
    def last(self) -> Settle:
        return list(self.settled.values())[-1]


@dataclass
class ScriptedProvider:
    """Answers with `script(body)`: an answer, a list of a stream's chunks, NotReached, or an error.

    It checks that every call it gets has a durable reservation; `turns` makes each step take a while.
    """

    books: LedgerInMemory
    script: Callable[[dict[str, object]], object] = lambda _: answer()
    name: str = "openai"
    emulator: bool = False
    turns: int = 0
    bodies: list[dict[str, object]] = field(default_factory=list)
    under_way: int = 0
    most_under_way: int = 0
    hold: asyncio.Event | None = None

    async def complete(self, body: bytes, *, deadline_s: float) -> ProviderAnswer | NotReached:
        async with self.stream(body, deadline_s=deadline_s) as reached:
            return reached

    @asynccontextmanager
    async def stream(self, body: bytes, *, deadline_s: float) -> AsyncIterator[object]:
        assert self.books.open, "sent before the reservation was durable"
        self.bodies.append(orjson.loads(body))
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            await self._turns()
            if self.hold is not None:
                await self.hold.wait()
            outcome = self.script(self.bodies[-1])
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


class World:
    """The use case with everything around it."""

    def __init__(
        self, *, quota: Quota | None = None, limit_usd_micros: int | None = None, **admission
    ) -> None:
        self.books = LedgerInMemory()
        self.books.apply(OpenAccount("key/k1", limit_usd_micros))
        self.provider = ScriptedProvider(self.books)
        quotas = {("openai", "gpt-4o"): quota} if quota else {}
        self.admission = Admission(quotas, SystemClock(), **admission)
        self.complete = CompleteChat(
            {"openai": self.provider},
            catalogue(),
            counter(),
            self.books,
            self.admission,
            SystemClock(),
            Counting(),
        )

    async def ask(self, body: bytes | None = None, principal: Principal = PRINCIPAL, **more):
        return await self.complete(principal, body or request(), request_id="r1", **more)

    async def ask_all(self, body: bytes | None = None) -> bytes:
        stream = await self.ask(body or request(stream=True))
        return b"".join([chunk async for chunk in stream.chunks])

    async def assert_idle(self) -> None:
        """Nothing is under way: no reservation, no place, no connection, and each call has one entry."""
        await self.complete.close()
        assert not self.books.open
        assert len(self.books.settled) == len(self.books.events)
        assert all(account.held_usd_micros == 0 for account in self.books.accounts.values())
        assert self.provider.under_way == 0
        assert all(line.gate.in_flight == 0 for line in self.admission._lines.values())
        assert self.admission.waiting() == 0
