"""The end of a paid call, whatever came of it: what is owed (see `owed`), booked once, then the answer.

A commit that has begun is not undone by cancelling its caller (see `Books`); what must go on for
longer than that runs as a task of its own, which no cancellation can reach.
"""

import asyncio
import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar
from urllib.parse import quote

from macroslow.errors import ConflictError, MacroslowError, UpstreamUnavailableError
from macroslow.inference.operation import AnswerUnreadableError, StreamReader
from macroslow.inference.ports import NotReached, ProviderAnswer, ProviderStream
from macroslow.inference.sse import EventTooLongError
from macroslow.limits.admission import Ended, Verdict
from macroslow.metering.count import OFF_LOOP_BYTES
from macroslow.metering.ledger import CallOutcome, Usage
from macroslow.metering.money import usd
from macroslow.ports import Clock
from macroslow.services.calls import owed
from macroslow.services.calls.admission import Admission
from macroslow.services.calls.off_loop import OffLoop
from macroslow.services.calls.paid_call import NOTHING, Settlement, UnderWay
from macroslow.values import value
from macroslow.workflow.books import Books

SETTLE_S: Final = 10.0  # how long a failed call waits for its booking, which goes on after that

_T = TypeVar("_T")


@value
class ModelAnswer:
    """A plain answer, or a provider's error: `body` as it came, settled at `usage`.

    `log_index` is the number of its entry in the log. `nothing_done`: the provider refused.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    usage: Usage
    log_index: int
    nothing_done: bool = False

    @property
    def usd_micros(self) -> int:
        """What it cost."""
        return self.usage.usd_micros


@dataclass(slots=True)  # not frozen: it is filled when the call is settled
class StreamEnd:
    """What a streamed call came to: its usage, and the number of its entry in the log; before that, None."""

    usage: Usage | None = None
    log_index: int | None = None


@value
class ModelStream:
    """A streamed answer of status 200. Read `chunks` to the end, or `aclose` it: that is hanging up.

    `end` says what it came to, once it was read to its end. Reading raises UpstreamUnavailableError if the
    provider breaks off; the call is settled by then.
    """

    headers: Mapping[str, str]
    chunks: AsyncGenerator[bytes, None]
    end: StreamEnd = field(default_factory=StreamEnd)


@value
class Report:
    """One call that is over, for whoever counts: times since it was let in, in nanoseconds."""

    under_way: UnderWay
    ended: Settlement
    duration_ns: int
    first_ns: int | None


@dataclass(frozen=True, slots=True)
class SettleCall:
    """Its fields are everything that it touches; each of `watchers` hears of every call that is over."""

    books: Books
    admission: Admission
    clock: Clock
    off_loop: OffLoop
    watchers: Sequence[Callable[[Report], None]] = ()
    _bookings: set["asyncio.Task[Any]"] = field(default_factory=set, init=False, repr=False)

    async def whole(self, under_way: UnderWay, reached: ProviderAnswer | NotReached) -> ModelAnswer:
        """Book what came of a call that is over, then answer.

        Raises UpstreamUnavailableError if nothing came that can be passed on.
        """
        if isinstance(reached, ProviderAnswer) and len(reached.body) > OFF_LOOP_BYTES:
            ended, log_index = await asyncio.shield(self.booking(self._large(under_way, reached)))
        else:
            ended = owed.for_answer(under_way, reached)
            log_index = await self.settle(under_way, ended)
        provider, operation = under_way.call.target.model.provider, under_way.call.order.operation
        if isinstance(reached, NotReached):
            raise UpstreamUnavailableError(
                f"the provider {provider} cannot be reached; nothing was sent and nothing is owed",
                upstream=provider,
                reason=reached.reason,
                nothing_done=True,
            )
        if ended.outcome is CallOutcome.UNKNOWN and reached.status < 400:
            raise charged(ended, unreadable(provider, f"its answer is not one of {operation.name}"))
        headers = {**reached.headers, "x-macroslow-cost-usd": usd(ended.usage.usd_micros)}
        return ModelAnswer(
            reached.status,
            marked(under_way, headers),
            reached.body,
            ended.usage,
            log_index,
            nothing_done=ended.outcome is CallOutcome.REFUSED,
        )

    async def _large(self, under_way: UnderWay, answer: ProviderAnswer) -> tuple[Settlement, int]:
        ended = await self.off_loop(under_way.call.order.principal.name, owed.for_answer, under_way, answer)
        return ended, await self.settle(under_way, ended)

    async def stream(
        self, under_way: UnderWay, reached: ProviderStream, reader: StreamReader, stack: AsyncExitStack
    ) -> ModelStream:
        """The stream as the client reads it; whoever reads it to the end or closes it settles the call."""
        end = StreamEnd()
        chunks = self._relay(under_way, reached.chunks, reader, stack, end)
        await anext(chunks)  # started: one that nobody reads is closed by the loop, and settled
        return ModelStream(marked(under_way, reached.headers), chunks, end)

    async def _relay(
        self,
        under_way: UnderWay,
        chunks: AsyncIterator[bytes],
        reader: StreamReader,
        stack: AsyncExitStack,
        end: StreamEnd,
    ) -> AsyncGenerator[bytes, None]:
        """The bytes for the client, after an empty first one that `stream` takes."""
        sent = hashlib.sha256()
        first_ns: int | None = None
        async with stack:
            try:
                yield b""
                async for chunk in chunks:
                    passed = reader.feed(chunk)
                    del chunk  # or a client that does not read would hold it twice
                    if passed:
                        if first_ns is None:
                            first_ns = self.clock.monotonic_ns()
                        sent.update(passed)
                        yield passed
                    if reader.closing:
                        break
                if not reader.complete:
                    raise AnswerUnreadableError("the stream ended before its end")
                whole = sent.copy()
                whole.update(reader.closing)
                # In here: without a usage it reads every event, and one may turn out to be unreadable.
                ended = owed.for_stream(under_way, reader, whole.hexdigest())
            except BaseException as error:
                await stack.aclose()  # first of all stop the provider
                now_ns = self.clock.monotonic_ns()
                ended = owed.for_broken_stream(under_way, reader, error, sent.hexdigest(), now_ns)
                await self.settle_failed(under_way, ended, first_ns)
                if isinstance(error, (AnswerUnreadableError, EventTooLongError)):
                    broken = unreadable(under_way.call.target.model.provider, str(error))
                    raise charged(ended, broken) from error
                if isinstance(error, UpstreamUnavailableError):
                    raise charged(ended, error) from error
                raise
            end.log_index = await self.settle(under_way, ended, first_ns)
            end.usage = ended.usage
        if reader.closing:
            yield reader.closing

    async def failed(self, under_way: UnderWay, error: BaseException) -> Settlement:
        """Settle a call that raised `error`. Waits a bounded time; the booking itself goes on."""
        ended = under_way.failed(error, self.clock.monotonic_ns())
        await self.settle_failed(under_way, ended)
        return ended

    async def settle_failed(
        self, under_way: UnderWay, ended: Settlement, first_ns: int | None = None
    ) -> None:
        """Settle a call whose caller gets an error, or nothing any more."""
        await asyncio.wait({self.booking(self.settle(under_way, ended, first_ns))}, timeout=SETTLE_S)

    async def settle(self, under_way: UnderWay, ended: Settlement, first_ns: int | None = None) -> int:
        """Give the place back, book the end; the log entry's number, once it is durable."""
        now_ns = self.clock.monotonic_ns()
        if under_way.place is not None:
            used_tokens = ended.usage.input_tokens + ended.usage.output_tokens
            verdict = _VERDICTS.get(ended.outcome, Verdict.UNKNOWN)
            self.admission.leave(under_way.place, Ended(used_tokens, verdict))
        entries = await self.books.commit(*under_way.book(ended, self.clock.now_ns()))
        kept = under_way.kept(ended, self.clock.now_ns())
        if kept is not None:
            with suppress(ConflictError):  # a provider that gives one id twice: it stays its first owner's
                await self.books.commit(kept)
        since_ns = under_way.started_ns
        report = Report(
            under_way, ended, now_ns - since_ns, None if first_ns is None else first_ns - since_ns
        )
        for watch in self.watchers:
            watch(report)
        return entries[0].index

    async def undo(self, under_way: UnderWay) -> None:
        """Our caller hung up while the reservation was on its way: lift it, if it arrives.

        The books decide in the order of asking, so this settlement comes after that reservation.
        """
        with suppress(MacroslowError):  # it did not arrive
            await self.settle(under_way, Settlement(CallOutcome.ABORTED, NOTHING, 0))

    def booking(self, work: Coroutine[Any, Any, _T]) -> "asyncio.Task[_T]":
        """Run `work` as a task that nobody else can cancel, and hold on to it."""
        task = asyncio.get_running_loop().create_task(work)
        self._bookings.add(task)
        task.add_done_callback(self._bookings.discard)
        return task

    async def close(self, limit_s: float = SETTLE_S) -> None:
        """Wait for bookings that outlived their callers, at most `limit_s`."""
        if self._bookings:
            await asyncio.wait(set(self._bookings), timeout=limit_s)


def marked(under_way: UnderWay, headers: Mapping[str, str]) -> Mapping[str, str]:
    """The headers of an answer: which model it is of, where that was not the name; and of an emulator."""
    call, ours = under_way.call, {}
    name = call.target.model.name
    if name != call.order.asked_model:
        ours["x-macroslow-model"] = quote(name, safe="/:@+ ")  # an operator's name may be any text
    if call.emulator:
        ours["x-macroslow-emulator"] = "true"
    return {**headers, **ours} if ours else headers


def unreadable(provider: str, reason: str) -> UpstreamUnavailableError:
    """The error for an answer that is none, or that ended before its end."""
    return UpstreamUnavailableError(
        f"the provider {provider} broke off its answer", upstream=provider, reason=reason
    )


def charged(ended: Settlement, error: UpstreamUnavailableError) -> UpstreamUnavailableError:
    """The error for a client whose call was lost, and what it was charged for it."""
    return UpstreamUnavailableError(
        f"{error.detail}; nobody knows what it did, so the call is charged in full: "
        f"${usd(ended.usage.usd_micros)}",
        upstream=error.upstream,
        fix="send it again if the answer is worth paying twice",
        reason=error.reason,
    )


_VERDICTS: Final[Mapping[CallOutcome, Verdict]] = {
    CallOutcome.OK: Verdict.ANSWERED,
    CallOutcome.UNKNOWN: Verdict.FAILED,
}
"""What the end of a call says about the provider; the other outcomes say nothing about it."""
