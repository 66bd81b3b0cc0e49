"""Chat completions: parse, count, admit, then deliver at the speed asked for, and put it on the bill.

What is delivered is billed: the whole of a plain answer, of a stream what was written before the
client went away.
"""

import asyncio
import hashlib
from collections import defaultdict
from dataclasses import dataclass, field

from macroslow.emulator import refusals, wire
from macroslow.emulator.answer import Answer, answer
from macroslow.emulator.exchange import JSON, Exchange
from macroslow.emulator.faults import Faults
from macroslow.emulator.latency import Latency
from macroslow.emulator.limits import Charge, Limits, Meter
from macroslow.emulator.members import refuse
from macroslow.emulator.request import ChatRequest, parse_chat
from macroslow.emulator.tally import Statistics
from macroslow.metering.catalogue import Catalogue
from macroslow.metering.count import OFF_LOOP_BYTES, Counter
from macroslow.ports import NS_PER_S, Clock

_EVENTS = ((b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-cache"))


@dataclass(frozen=True, slots=True)
class Delivery:
    """One admitted answer on its way. `cut` is the share after which the connection is closed."""

    request: ChatRequest
    answer: Answer
    envelope: wire.Envelope
    cut: float | None


@dataclass(slots=True)
class Chat:
    """The handler of `/v1/chat/completions`. Limits are each model's own, whatever key asks."""

    catalogue: Catalogue
    counter: Counter
    clock: Clock
    limits: Limits
    latency: Latency
    faults: Faults
    statistics: Statistics
    admitted: int = 0
    meters: defaultdict[str, Meter] = field(init=False)

    def __post_init__(self) -> None:
        self.meters = defaultdict(lambda: Meter(self.limits))

    async def __call__(self, exchange: Exchange) -> None:
        """Answer one request. Raises RefusedError, and HungUpError while the body is read."""
        raw = await exchange.body()
        if len(raw) > OFF_LOOP_BYTES:
            request, answered = await asyncio.to_thread(self._prepare, raw)
        else:
            request, answered = self._prepare(raw)
        self._admit(exchange, request, answered)
        self.admitted += 1
        if status := self.faults.status_of(self.admitted):
            refuse(refusals.server_error(status))
        delivery = Delivery(request, answered, self._envelope(request), self.faults.cut_of(self.admitted))
        await (self._stream if request.stream else self._whole)(exchange, delivery)

    def _prepare(self, raw: bytes) -> tuple[ChatRequest, Answer]:
        request = parse_chat(raw, self.catalogue)
        return request, answer(request, self.counter)

    def _admit(self, exchange: Exchange, request: ChatRequest, answered: Answer) -> None:
        """Take from the model's buckets; whatever happens next, their headers go with it."""
        output_tokens = answered.output_tokens
        if self.limits.charge is Charge.MAX_TOKENS and request.max_tokens is not None:
            output_tokens = request.max_tokens * request.choices
        meter = self.meters[request.model.name]
        exceeded = meter.admit(answered.input_tokens + output_tokens, self.clock.monotonic_ns())
        exchange.headers += meter.headers()
        if exceeded:
            self.statistics.limited[exceeded.kind] += 1
            refuse(refusals.rate_limited(request.name, exceeded))

    def _envelope(self, request: ChatRequest) -> wire.Envelope:
        now_ns = self.clock.now_ns()
        digest = hashlib.sha256(f"{now_ns} {self.admitted}".encode()).hexdigest()
        return wire.Envelope(f"chatcmpl-{digest[:29]}", now_ns // NS_PER_S, request.name)

    async def _whole(self, exchange: Exchange, delivery: Delivery) -> None:
        answered = delivery.answer
        # The model has done its work once it was asked, whether or not anybody waits.
        self._bill(delivery, answered.output_tokens)
        await asyncio.sleep(self.latency.whole_s(answered.output_tokens))
        body = wire.completion(delivery.envelope, answered)
        if delivery.cut is None:
            await exchange.answer(200, body)
        else:
            await exchange.start(200, [JSON, (b"content-length", str(len(body)).encode())])
            await exchange.write(body[: int(len(body) * delivery.cut)])

    async def _stream(self, exchange: Exchange, delivery: Delivery) -> None:
        include_usage = delivery.request.include_usage
        events = list(wire.events(delivery.envelope, delivery.answer, include_usage=include_usage))
        whole = delivery.cut is None
        sent = events if delivery.cut is None else events[: int(len(events) * delivery.cut)]
        gone = asyncio.ensure_future(exchange.hung_up())
        written_tokens = 0
        try:
            await asyncio.wait({gone}, timeout=self.latency.first_s)
            await exchange.start(200, _EVENTS)
            for content, event in sent:
                tokens = self.counter.text(content)
                await self._pause(gone, tokens * self.latency.per_token_s)
                if gone.done():
                    self.statistics.hang_ups += 1
                    return
                await exchange.write(event)
                written_tokens += tokens
            if whole:
                written_tokens = delivery.answer.output_tokens
                await exchange.write(wire.DONE, more=False)
        finally:
            gone.cancel()
            # Words counted one by one are a few tokens more than their text.
            self._bill(delivery, min(written_tokens, delivery.answer.output_tokens))

    @staticmethod
    async def _pause(gone: asyncio.Future[None], pause_s: float) -> None:
        if pause_s:
            await asyncio.wait({gone}, timeout=pause_s)

    def _bill(self, delivery: Delivery, output_tokens: int) -> None:
        self.statistics.answered(delivery.request.model, delivery.answer.input_tokens, output_tokens)
