"""One paid chat completion: reserve the worst case, call the provider, settle at the true cost.

In this order: parse, price, count, admission, reservation (durable before anything is sent), call,
then settlement and log entry in one commit, and after that commit the answer: all of a plain one,
the closing event of a streamed one. A refusal names its step and nothing after it happens.

Every reservation is settled, once, however its call ends:

    the provider answered               what it says it used; our own count if it does not say: "ok"
    it refused before doing any work    nothing: "refused"
    the client hung up                  input, and what can have been written by then: "aborted"
    it broke off, or nobody knows       the reservation: "unknown"

A commit that has begun is not undone by cancelling its caller (see `Books`); what must go on for
longer than that runs as a task of its own, which no cancellation can reach.
"""

import asyncio
import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Coroutine, Mapping
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from macroslow.authn.principal import Principal
from macroslow.authz.scopes import INFERENCE_CHAT
from macroslow.errors import (
    InvalidModelRequestError,
    MacroslowError,
    MissingRightError,
    MissingScopeError,
    UpstreamUnavailableError,
)
from macroslow.inference.chat_answer import AnswerUnreadableError, StreamReader, read_answer
from macroslow.inference.ports import NotReached, Provider, ProviderAnswer, ProviderStream
from macroslow.inference.sse import EventTooLongError
from macroslow.metering.catalogue import Catalogue
from macroslow.metering.count import OFF_LOOP_BYTES, Counter
from macroslow.metering.ledger import Usage
from macroslow.metering.money import usd
from macroslow.ports import Clock, Entropy
from macroslow.services.admission import Admission
from macroslow.services.paid_call import NOTHING, PaidCall, Settlement, UnderWay
from macroslow.services.quote_call import QuoteCall
from macroslow.workflow.books import Books

DEADLINE_S: Final = 600.0
MAX_TAG_CHARACTERS: Final = 128
SETTLE_S: Final = 10.0  # how long a failed call waits for its booking, which goes on after that

_PATH: Final = "/chat/completions"

# Statuses of intermediaries that lost their upstream: the work behind them may have been done.
_LOST_STATUSES: Final = frozenset({502, 504})

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class ModelAnswer:
    """A plain answer, or a provider's error: `body` as it came, settled at `usage`.

    `log_index` is the number of its entry in the log.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    usage: Usage
    log_index: int

    @property
    def usd_micros(self) -> int:
        """What it cost."""
        return self.usage.usd_micros


@dataclass(frozen=True, slots=True)
class ModelStream:
    """A streamed answer of status 200. Read `chunks` to the end, or `aclose` it: that is hanging up.

    Reading raises UpstreamUnavailableError if the provider breaks off; the call is settled by then.
    """

    headers: Mapping[str, str]
    chunks: AsyncGenerator[bytes, None]


@dataclass(frozen=True, slots=True)
class CallModel:
    """Its fields are everything that it touches. `providers` by the names that the catalogue uses."""

    providers: Mapping[str, Provider]
    catalogue: Catalogue
    counter: Counter
    books: Books
    admission: Admission
    clock: Clock
    entropy: Entropy
    deadline_s: float = DEADLINE_S
    _quote: QuoteCall = field(init=False, repr=False)
    _bookings: set["asyncio.Task[Any]"] = field(default_factory=set, init=False, repr=False)

    def __post_init__(self) -> None:
        quote = QuoteCall(self.providers, self.catalogue, self.counter, self.books, self.admission)
        object.__setattr__(self, "_quote", quote)

    async def __call__(
        self,
        principal: Principal,
        body: bytes,
        *,
        request_id: str,
        tag: str = "",
        run_id: str = "",
        account: str | None = None,
        providers: Collection[str] | None = None,
    ) -> ModelAnswer | ModelStream:
        """Answer one request; it is charged to `account`, or else to the principal's own.

        `providers` are those that a run was granted; None: any. Raises MissingScopeError,
        MissingRightError, InvalidModelRequestError, NotFoundError (no such model), RateLimitedError,
        BudgetExhaustedError, UpstreamRefusedError, UpstreamUnavailableError and LogUnavailableError.
        """
        if INFERENCE_CHAT not in principal.scopes:
            raise MissingScopeError(f"this credential lacks {INFERENCE_CHAT}", scope=INFERENCE_CHAT)
        if len(tag) > MAX_TAG_CHARACTERS or not tag.isprintable():  # or the log could not take it
            raise InvalidModelRequestError(
                f"a tag has at most {MAX_TAG_CHARACTERS} characters that can be printed",
                param="x-macroslow-tag",
            )
        paying = account or principal.account
        quote = await self._quote(body, paying)
        if providers is not None and quote.provider.name not in providers:
            raise MissingRightError(
                f"this document may not call models of {quote.provider.name}",
                uri=f"api://{quote.provider.name}",
                fix=f"add api://{quote.provider.name} to permissions.execute",
            )
        call = PaidCall(
            reservation_id=self.entropy.random(16).hex(),
            account=paying,
            principal=principal,
            provider=quote.provider,
            bounds=quote.bounds,
            stream=quote.request.stream,
            request_id=request_id,
            request_sha256=hashlib.sha256(body).hexdigest(),
            tag=tag,
            run_id=run_id,
        )
        under_way = await self._admit(call)
        if quote.request.stream:
            return await self._stream(under_way, quote.forwarded, wants_usage=quote.request.wants_usage)
        return await self._plain(under_way, quote.forwarded)

    async def close(self, limit_s: float = SETTLE_S) -> None:
        """Wait for bookings that outlived their callers, at most `limit_s`."""
        if self._bookings:
            await asyncio.wait(set(self._bookings), timeout=limit_s)

    async def _admit(self, call: PaidCall) -> UnderWay:
        """Wait for a place, then make the reservation durable."""
        most_tokens = call.bounds.input_tokens + call.bounds.output_tokens
        place = await self.admission.enter(
            call.provider.name, call.bounds.model.name, call.principal.name, most_tokens
        )
        reserving = self._booking(self.books.commit(call.reserve(self.clock.now_ns())))
        try:
            await asyncio.shield(reserving)
        except BaseException as error:
            self.admission.leave(place, 0)
            if isinstance(error, asyncio.CancelledError):
                self._booking(self._undo(call, reserving))
            raise
        return UnderWay(call, place, self.clock.monotonic_ns())

    async def _undo(self, call: PaidCall, reserving: "asyncio.Task[Any]") -> None:
        """Our caller hung up while the reservation was on its way: let it arrive, then lift it."""
        with suppress(MacroslowError):  # it did not arrive
            await reserving
            await self.books.commit(*call.book(Settlement("aborted", NOTHING, 0), self.clock.now_ns()))

    async def _plain(self, under_way: UnderWay, forwarded: bytes) -> ModelAnswer:
        try:
            reached = await under_way.call.provider.complete(_PATH, forwarded, deadline_s=self.deadline_s)
        except BaseException as error:
            await self._settle_failed(under_way, under_way.failed(error, self.clock.monotonic_ns()))
            raise
        return await self._finish(under_way, reached)

    async def _stream(
        self, under_way: UnderWay, forwarded: bytes, *, wants_usage: bool
    ) -> ModelAnswer | ModelStream:
        """Open the stream; whoever reads it to the end or closes it settles the call."""
        provider = under_way.call.provider
        async with AsyncExitStack() as stack:
            try:
                opening = provider.stream(_PATH, forwarded, deadline_s=self.deadline_s)
                reached = await stack.enter_async_context(opening)
            except BaseException as error:
                await self._settle_failed(under_way, under_way.failed(error, self.clock.monotonic_ns()))
                raise
            if not isinstance(reached, ProviderStream):
                return await self._finish(under_way, reached)
            reader = StreamReader(self.counter, under_way.possible, wants_usage=wants_usage)
            chunks = self._relay(under_way, reached.chunks, reader, stack.pop_all())
            await anext(chunks)  # started: one that nobody reads is closed by the loop, and settled
            return ModelStream(_headers(provider, reached.headers), chunks)

    async def _relay(
        self,
        under_way: UnderWay,
        chunks: AsyncIterator[bytes],
        reader: StreamReader,
        stack: AsyncExitStack,
    ) -> AsyncGenerator[bytes, None]:
        """The bytes for the client, after an empty first one that `_stream` takes."""
        sent = hashlib.sha256()
        async with stack:
            try:
                yield b""
                async for chunk in chunks:
                    if passed := reader.feed(chunk):
                        sent.update(passed)
                        yield passed
                    if reader.closing:
                        break
                if not reader.complete:
                    raise AnswerUnreadableError("the stream ended before its end")
            except BaseException as error:
                await stack.aclose()  # first of all stop the provider
                ended = self._stream_failed(under_way, reader, error, sent.hexdigest())
                await self._settle_failed(under_way, ended)
                if isinstance(error, (AnswerUnreadableError, EventTooLongError)):
                    raise _broke_off(under_way.call.provider, str(error)) from error
                raise
            sent.update(reader.closing)
            ended = self._stream_ended(under_way, reader, sent.hexdigest())
            await self._settle(under_way, ended)
        if reader.closing:
            yield reader.closing

    def _stream_ended(self, under_way: UnderWay, reader: StreamReader, sha256: str) -> Settlement:
        bounds = under_way.call.bounds
        if reader.usage is not None:
            return Settlement("ok", bounds.reported(reader.usage), 200, sha256)
        return Settlement("ok", bounds.counted(reader.output_tokens()), 200, sha256)

    def _stream_failed(
        self, under_way: UnderWay, reader: StreamReader, error: BaseException, sha256: str
    ) -> Settlement:
        """The provider broke off, or our caller hung up, by cancelling or by closing."""
        if not isinstance(error, (asyncio.CancelledError, GeneratorExit)):
            return under_way.unknown(200, sha256)
        if reader.usage is not None:
            return Settlement("aborted", under_way.call.bounds.reported(reader.usage), 200, sha256)
        try:
            counted_tokens = reader.output_tokens()
        except AnswerUnreadableError:
            return under_way.unknown(200, sha256)
        return under_way.aborted(counted_tokens, self.clock.monotonic_ns(), 200, sha256)

    async def _finish(self, under_way: UnderWay, reached: ProviderAnswer | NotReached) -> ModelAnswer:
        """Book what came of a call that is over, then answer."""
        provider = under_way.call.provider
        if isinstance(reached, ProviderAnswer) and len(reached.body) > OFF_LOOP_BYTES:
            ended, log_index = await asyncio.shield(self._booking(self._finish_large(under_way, reached)))
        else:
            ended = self._conclude(under_way, reached)
            log_index = await self._settle(under_way, ended)
        if isinstance(reached, NotReached):
            raise UpstreamUnavailableError(
                f"the provider {provider.name} cannot be reached; nothing was sent and nothing is owed",
                upstream=provider.name,
                reason=reached.reason,
            )
        if ended.outcome == "unknown" and reached.status < 400:
            raise _broke_off(provider, "its answer is not a chat completion")
        cost = {"x-macroslow-cost-usd": usd(ended.usage.usd_micros)}
        headers = {**_headers(provider, reached.headers), **cost}
        return ModelAnswer(reached.status, headers, reached.body, ended.usage, log_index)

    async def _finish_large(self, under_way: UnderWay, answer: ProviderAnswer) -> tuple[Settlement, int]:
        ended = await asyncio.to_thread(self._conclude, under_way, answer)
        return ended, await self._settle(under_way, ended)

    def _conclude(self, under_way: UnderWay, answer: ProviderAnswer | NotReached) -> Settlement:
        """How a whole answer settles."""
        if isinstance(answer, NotReached):
            return Settlement("refused", NOTHING, 0)
        bounds = under_way.call.bounds
        sha256 = hashlib.sha256(answer.body).hexdigest()
        if answer.status >= 400:
            if answer.status in _LOST_STATUSES:
                return under_way.unknown(answer.status, sha256)
            return Settlement("refused", NOTHING, answer.status, sha256)
        try:
            read = read_answer(answer.body, under_way.possible)
        except AnswerUnreadableError:
            return under_way.unknown(answer.status)
        if read.usage is not None:
            return Settlement("ok", bounds.reported(read.usage), answer.status, sha256)
        return Settlement("ok", bounds.counted(self.counter.texts(read.texts)), answer.status, sha256)

    async def _settle(self, under_way: UnderWay, ended: Settlement) -> int:
        """Give the place back, book the end; the log entry's number, once it is durable."""
        self.admission.leave(under_way.place, ended.usage.input_tokens + ended.usage.output_tokens)
        settle, append = under_way.call.book(ended, self.clock.now_ns())
        entries = await self.books.commit(settle, append)
        return entries[0].index

    async def _settle_failed(self, under_way: UnderWay, ended: Settlement) -> None:
        """Settle a call that raised. Waits a bounded time; the booking itself goes on."""
        await asyncio.wait({self._booking(self._settle(under_way, ended))}, timeout=SETTLE_S)

    def _booking(self, work: Coroutine[Any, Any, _T]) -> "asyncio.Task[_T]":
        """Run `work` as a task that nobody else can cancel, and hold on to it."""
        task = asyncio.get_running_loop().create_task(work)
        self._bookings.add(task)
        task.add_done_callback(self._bookings.discard)
        return task


def _headers(provider: Provider, headers: Mapping[str, str]) -> Mapping[str, str]:
    return {**headers, "x-macroslow-emulator": "true"} if provider.emulator else headers


def _broke_off(provider: Provider, reason: str) -> UpstreamUnavailableError:
    return UpstreamUnavailableError(
        f"the provider {provider.name} broke off; the call is charged in full, its outcome is unknown",
        upstream=provider.name,
        reason=reason,
    )
