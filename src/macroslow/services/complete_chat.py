"""One paid chat completion: reserve the worst case, call the provider, settle at the true cost.

In this order: parse, price, count, admission, reservation (durable before anything is sent), call,
then settlement and log entry in one commit, and after that commit the answer: all of a plain one,
the closing event of a streamed one. A refusal names its step and nothing after it happens.

Every reservation is settled, once, however its call ends:

    the provider answered               what it says it used; our own count if it does not say
    it refused before doing any work    nothing                                         "refused"
    the client hung up                  input, and what can have been written by then   "aborted"
    it broke off, or nobody knows       the reservation                                 "unknown"

The bookings run as tasks of their own, so that no cancellation of the caller can reach them.
"""

import asyncio
import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Mapping
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from typing import Any, Final

from macroslow.authn.principal import Principal
from macroslow.authz.scopes import INFERENCE_CHAT
from macroslow.errors import (
    BudgetExhaustedError,
    InvalidChatRequestError,
    MacroslowError,
    MissingScopeError,
    NotFoundError,
    UpstreamRefusedError,
    UpstreamUnavailableError,
)
from macroslow.inference.chat import ChatRequest, parse_chat
from macroslow.inference.chat_answer import AnswerUnreadableError, Possible, StreamReader, read_answer
from macroslow.inference.ports import NotReached, Provider, ProviderAnswer, ProviderStream
from macroslow.inference.sse import EventTooLongError
from macroslow.metering.bounds import Bounds
from macroslow.metering.catalogue import Catalogue, Model
from macroslow.metering.count import OFF_LOOP_BYTES, Counter
from macroslow.metering.ledger import Account, Usage
from macroslow.ports import Clock, Entropy
from macroslow.services.admission import Admission, Place
from macroslow.services.chat_call import NOTHING, ChatCall, Settlement
from macroslow.workflow.books import Books

DEADLINE_S: Final = 600.0
SETTLE_S: Final = 10.0  # how long one that hung up is kept for its settlement, which goes on after it
LEAST_FILLED_OUTPUT_TOKENS: Final = 16  # with room for less than this, no bound is filled in

# Statuses of intermediaries that lost their upstream: the work behind them may have been done.
_LOST_STATUSES: Final = frozenset({502, 504})


@dataclass(frozen=True, slots=True)
class ChatAnswer:
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
        return self.usage.usd_micros


@dataclass(frozen=True, slots=True)
class ChatStream:
    """A streamed answer of status 200. Read `chunks` to the end, or `aclose` it: that is hanging up.

    Reading raises UpstreamUnavailableError if the provider breaks off; the call is settled by then.
    """

    headers: Mapping[str, str]
    chunks: AsyncGenerator[bytes, None]


@dataclass(frozen=True, slots=True)
class CompleteChat:
    """Its fields are everything that it touches. `providers` by the names that the catalogue uses."""

    providers: Mapping[str, Provider]
    catalogue: Catalogue
    counter: Counter
    books: Books
    admission: Admission
    clock: Clock
    entropy: Entropy
    deadline_s: float = DEADLINE_S
    _bookings: set["asyncio.Task[Any]"] = field(default_factory=set, init=False, repr=False)

    async def __call__(
        self,
        principal: Principal,
        body: bytes,
        *,
        request_id: str,
        tag: str = "",
        run_id: str = "",
        account: str | None = None,
    ) -> ChatAnswer | ChatStream:
        """Answer one request; it is charged to `account`, or else to the principal's own.

        Raises MissingScopeError, InvalidChatRequestError, NotFoundError (no such model),
        RateLimitedError, BudgetExhaustedError, UpstreamRefusedError, UpstreamUnavailableError and
        LogUnavailableError.
        """
        if INFERENCE_CHAT not in principal.scopes:
            raise MissingScopeError(f"this credential lacks {INFERENCE_CHAT}", scope=INFERENCE_CHAT)
        paying = account or principal.account
        request, input_tokens = await self._understand(body)
        model, provider = self._route(request)
        output_tokens = await self._output_bound(request, model, provider, paying, input_tokens)
        call = ChatCall(
            reservation_id=self.entropy.random(16).hex(),
            account=paying,
            principal=principal,
            provider=provider,
            bounds=Bounds(model, input_tokens, output_tokens * request.choices, request.choices),
            stream=request.stream,
            request_id=request_id,
            request_sha256=hashlib.sha256(body).hexdigest(),
            tag=tag,
            run_id=run_id,
        )
        forwarded = request.forwarded(model.upstream, output_tokens, reasoning=model.reasoning)
        under_way = await self._admit(call)
        if request.stream:
            return await self._stream(under_way, forwarded, wants_usage=request.wants_usage)
        return await self._plain(under_way, forwarded)

    async def close(self, limit_s: float = SETTLE_S) -> None:
        """Wait for bookings that outlived their callers, at most `limit_s`."""
        if self._bookings:
            await asyncio.wait(set(self._bookings), timeout=limit_s)

    # Before the call.

    async def _understand(self, body: bytes) -> tuple[ChatRequest, int]:
        """The request and its input tokens; large ones are read in a thread."""
        if len(body) <= OFF_LOOP_BYTES:
            return self._read(body)
        return await asyncio.to_thread(self._read, body)

    def _read(self, body: bytes) -> tuple[ChatRequest, int]:
        request = parse_chat(body)
        return request, self.counter.prompt(request.prompt)

    def _route(self, request: ChatRequest) -> tuple[Model, Provider]:
        model = self.catalogue.find(request.model)
        provider = self.providers.get(model.provider) if model is not None else None
        if model is None or provider is None:
            raise NotFoundError(
                "there is no such model here, or none that has a price and a provider",
                step="price",
                fix="GET /v1/models lists the models that are served",
            )
        return model, provider

    async def _output_bound(
        self, request: ChatRequest, model: Model, provider: Provider, account_id: str, input_tokens: int
    ) -> int:
        """Output tokens per choice that are allowed: what was asked for, else what model, limit and budget allow."""
        if input_tokens > model.context_tokens:
            raise InvalidChatRequestError(
                f"the messages have {input_tokens} tokens, the model takes {model.context_tokens}",
                param="messages",
            )
        most_tokens = self.admission.most_tokens(provider.name, model.name)
        room = model.context_tokens if most_tokens is None else most_tokens
        limited = (room - input_tokens) // request.choices
        asked = request.max_output_tokens
        if asked is not None:
            most = (
                min(model.max_output_tokens, limited) if most_tokens is not None else model.max_output_tokens
            )
            return _at_most(asked, most, request)
        open_to = min(model.max_output_tokens, limited, (model.context_tokens - input_tokens))
        _at_most(1, open_to, request)
        affordable = await self._affordable(request, model, account_id, input_tokens, open_to)
        return min(open_to, affordable)

    async def _affordable(
        self, request: ChatRequest, model: Model, account_id: str, input_tokens: int, wanted: int
    ) -> int:
        """Output tokens per choice that the budget has room for, at most `wanted`."""
        budget = await self._budget(account_id)
        if budget is None or budget.limit_usd_micros is None:
            return wanted
        room = budget.limit_usd_micros - budget.spent_usd_micros - budget.held_usd_micros
        affordable = model.affordable_output_tokens(input_tokens, room) // request.choices
        least = min(wanted, LEAST_FILLED_OUTPUT_TOKENS)
        if affordable < least:
            raise BudgetExhaustedError(
                f"the budget {budget.id} has no room for an answer of {least} tokens",
                budget=budget.id,
                limit_usd_micros=budget.limit_usd_micros,
                spent_usd_micros=budget.spent_usd_micros,
                held_usd_micros=budget.held_usd_micros,
                needed_usd_micros=model.estimate(input_tokens, least * request.choices),
                fix="raise the budget, or wait until calls under way are settled",
            )
        return min(wanted, affordable)

    async def _budget(self, account_id: str) -> Account | None:
        """The account itself or its nearest ancestor that has a limit: there a reservation must fit."""
        account = await self.books.account(account_id)
        while account is not None and account.limit_usd_micros is None and account.parent is not None:
            account = await self.books.account(account.parent)
        return account

    async def _admit(self, call: ChatCall) -> "UnderWay":
        """Wait for a place, then make the reservation durable."""
        bounds = call.bounds
        place = await self.admission.enter(
            call.provider.name,
            bounds.model.name,
            call.principal.name,
            bounds.input_tokens + bounds.output_tokens,
        )
        reserving = self._booking(self.books.commit(call.reserve(self.clock.now_ns())))
        try:
            await asyncio.shield(reserving)
        except BaseException:
            self.admission.leave(place, 0)
            if not reserving.done():  # our caller hung up; what is being reserved must not stay so
                self._booking(self._undo(call, reserving))
            raise
        return UnderWay(call, place, self.clock.monotonic_ns())

    async def _undo(self, call: ChatCall, reserving: "asyncio.Task[Any]") -> None:
        with suppress(MacroslowError):  # not reserved: nothing to undo
            await reserving
            await self.books.commit(*call.book(Settlement("aborted", NOTHING, 0), self.clock.now_ns()))

    # The call.

    async def _plain(self, under_way: "UnderWay", forwarded: bytes) -> ChatAnswer:
        ended = under_way.unknown()
        try:
            reached = await under_way.call.provider.complete(forwarded, deadline_s=self.deadline_s)
            if isinstance(reached, NotReached):
                ended = under_way.refused(0)
                raise _not_reached(under_way.call.provider, reached)
            ended = under_way.unknown(reached.status)
            ended = self._conclude(under_way, reached)
        except UpstreamRefusedError as error:
            ended = under_way.refused(error.status)
            raise
        except asyncio.CancelledError:
            ended = under_way.aborted(0, self.clock.monotonic_ns())
            raise
        finally:
            log_index = await self._settle(under_way, ended)
        return _answer(under_way.call, reached, ended, log_index)

    def _conclude(self, under_way: "UnderWay", answer: ProviderAnswer) -> Settlement:
        """How a whole answer settles. Raises UpstreamUnavailableError if it makes no sense."""
        sha256 = hashlib.sha256(answer.body).hexdigest()
        if answer.status >= 400:
            lost = answer.status in _LOST_STATUSES
            usage = under_way.call.bounds.in_full if lost else NOTHING
            return Settlement("unknown" if lost else "refused", usage, answer.status, sha256)
        try:
            read = read_answer(answer.body, under_way.possible)
        except AnswerUnreadableError as error:
            raise _broke_off(under_way.call.provider, str(error)) from error
        if read.usage is not None:
            usage = under_way.call.bounds.reported(read.usage)
        else:
            usage = under_way.call.bounds.counted(self.counter.texts(read.texts))
        return Settlement("ok", usage, answer.status, sha256)

    async def _stream(
        self, under_way: "UnderWay", forwarded: bytes, *, wants_usage: bool
    ) -> ChatAnswer | ChatStream:
        """Open the stream; what comes of it is settled by whoever reads it to the end or closes it."""
        provider = under_way.call.provider
        ended = under_way.unknown()
        settled_elsewhere = False
        async with AsyncExitStack() as stack:
            try:
                reached = await stack.enter_async_context(
                    provider.stream(forwarded, deadline_s=self.deadline_s)
                )
                if isinstance(reached, NotReached):
                    ended = under_way.refused(0)
                    raise _not_reached(provider, reached)
                if isinstance(reached, ProviderStream):
                    reader = StreamReader(self.counter, under_way.possible, wants_usage=wants_usage)
                    chunks = self._relay(under_way, reached.chunks, reader, stack.pop_all())
                    await anext(chunks)  # started, so that dropping it runs its `finally` too
                    settled_elsewhere = True
                    return ChatStream(_headers(provider, reached.headers), chunks)
                ended = under_way.unknown(reached.status)
                ended = self._conclude(under_way, reached)
            except UpstreamRefusedError as error:
                ended = under_way.refused(error.status)
                raise
            except asyncio.CancelledError:
                ended = under_way.aborted(0, self.clock.monotonic_ns())
                raise
            finally:
                if not settled_elsewhere:
                    log_index = await self._settle(under_way, ended)
        return _answer(under_way.call, reached, ended, log_index)

    async def _relay(
        self,
        under_way: "UnderWay",
        chunks: AsyncIterator[bytes],
        reader: StreamReader,
        stack: AsyncExitStack,
    ) -> AsyncGenerator[bytes, None]:
        """The bytes for the client. The first one yielded is empty: see `_stream`."""
        sent = hashlib.sha256()
        ended: Settlement | None = None
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
                    raise _broke_off(under_way.call.provider, "the stream ended before its end")
                sent.update(reader.closing)
                ended = self._stream_ended(under_way, reader, sent.hexdigest())
            except (AnswerUnreadableError, EventTooLongError) as error:
                ended = under_way.unknown(200, sent.hexdigest())
                raise _broke_off(under_way.call.provider, str(error)) from error
            except UpstreamUnavailableError:
                ended = under_way.unknown(200, sent.hexdigest())
                raise
            finally:
                # Neither: our caller hung up, by cancellation or by closing this generator.
                ended = ended or self._hung_up(under_way, reader, sent.hexdigest())
                await self._settle(under_way, ended)
        if reader.closing:
            yield reader.closing

    def _stream_ended(self, under_way: "UnderWay", reader: StreamReader, sha256: str) -> Settlement:
        bounds = under_way.call.bounds
        if reader.usage is not None:
            return Settlement("ok", bounds.reported(reader.usage), 200, sha256)
        return Settlement("ok", bounds.counted(reader.output_tokens()), 200, sha256)

    def _hung_up(self, under_way: "UnderWay", reader: StreamReader, sha256: str) -> Settlement:
        try:
            counted_tokens = reader.output_tokens()
        except AnswerUnreadableError:
            return under_way.unknown(200, sha256)
        return under_way.aborted(counted_tokens, self.clock.monotonic_ns(), 200, sha256)

    # After the call.

    async def _settle(self, under_way: "UnderWay", ended: Settlement) -> int:
        """Give the place back, book the end; return the log entry's number once it is durable."""
        self.admission.leave(under_way.place, ended.usage.input_tokens + ended.usage.output_tokens)
        changes = under_way.call.book(ended, self.clock.now_ns())
        booking = self._booking(self.books.commit(*changes))
        if ended.outcome == "aborted":
            await asyncio.wait({booking}, timeout=SETTLE_S)
            return -1
        return (await asyncio.shield(booking))[0].index

    def _booking(self, work: Coroutine[Any, Any, Any]) -> "asyncio.Task[Any]":
        """Run `work` as a task that nobody else can cancel, and hold on to it."""
        task = asyncio.get_running_loop().create_task(work)
        self._bookings.add(task)
        task.add_done_callback(self._bookings.discard)
        return task


@dataclass(frozen=True, slots=True)
class UnderWay:
    """A call that has its place and its reservation, and since when."""

    call: ChatCall
    place: Place
    started_ns: int

    @property
    def possible(self) -> Possible:
        bounds = self.call.bounds
        return Possible(bounds.model.context_tokens, bounds.output_tokens)

    def refused(self, status: int) -> Settlement:
        return Settlement("refused", NOTHING, status)

    def unknown(self, status: int = 0, sha256: str | None = None) -> Settlement:
        return Settlement("unknown", self.call.bounds.in_full, status, sha256)

    def aborted(
        self, counted_tokens: int, now_ns: int, status: int = 0, sha256: str | None = None
    ) -> Settlement:
        usage = self.call.bounds.aborted(counted_tokens, now_ns - self.started_ns)
        return Settlement("aborted", usage, status, sha256)


def _at_most(asked: int, most: int, request: ChatRequest) -> int:
    if asked > most:
        raise InvalidChatRequestError(
            f"{asked} output tokens for each of {request.choices} choices is above what model and limit "
            f"allow beside these messages: {max(most, 0)}",
            param="max_tokens" if "max_tokens" in request.members else "max_completion_tokens",
        )
    return asked


def _answer(call: ChatCall, answer: ProviderAnswer, ended: Settlement, log_index: int) -> ChatAnswer:
    dollars, micros = divmod(ended.usage.usd_micros, 1_000_000)
    headers = {
        **_headers(call.provider, answer.headers),
        "x-macroslow-cost-usd": f"{dollars}.{micros:06d}",
    }
    return ChatAnswer(answer.status, headers, answer.body, ended.usage, log_index)


def _headers(provider: Provider, headers: Mapping[str, str]) -> Mapping[str, str]:
    return {**headers, "x-macroslow-emulator": "true"} if provider.emulator else headers


def _not_reached(provider: Provider, reached: NotReached) -> UpstreamUnavailableError:
    return UpstreamUnavailableError(
        f"the provider {provider.name} cannot be reached; nothing was sent and nothing is owed",
        upstream=provider.name,
        reason=reached.reason,
    )


def _broke_off(provider: Provider, reason: str) -> UpstreamUnavailableError:
    return UpstreamUnavailableError(
        f"the provider {provider.name} broke off; the call is charged in full, its outcome is unknown",
        upstream=provider.name,
        reason=reason,
    )
