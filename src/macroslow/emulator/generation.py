"""What happens to a request for any model: understood, admitted, perhaps troubled, delivered.

A refusal by a limit takes nothing; what passes the limits is charged, whatever happens next.
"""

import asyncio
import hashlib
from dataclasses import dataclass, field

from macroslow.emulator.clock import ProviderClock
from macroslow.emulator.counting import Scales
from macroslow.emulator.delivery import Delivery
from macroslow.emulator.exchange import Exchange, HungUpError
from macroslow.emulator.faults import Faults, Trouble
from macroslow.emulator.latency import Latency
from macroslow.emulator.limits import Charge, Cost, Limits, Meter, waiting
from macroslow.emulator.spoiling import told_usage
from macroslow.emulator.tally import Statistics
from macroslow.emulator.work import Api, Envelope, Work, refuse
from macroslow.metering.count import OFF_LOOP_BYTES
from macroslow.ports import NS_PER_S


@dataclass(slots=True)
class Generation:
    """Everything that all routes share which a model answers. One event loop owns it."""

    scales: Scales
    clock: ProviderClock
    limits: Limits
    latency: Latency
    faults: Faults
    statistics: Statistics
    admitted: int = 0
    _meters: dict[tuple[str, str], Meter] = field(default_factory=dict)

    async def __call__(self, api: Api, exchange: Exchange) -> None:
        """Answer one request. Raises RefusedError, and HungUpError if nobody is left to answer."""
        raw = await exchange.body()
        if len(raw) > OFF_LOOP_BYTES:
            work = await asyncio.to_thread(api.prepare, raw, exchange.header)
        else:
            work = api.prepare(raw, exchange.header)
        self._admit(exchange, work)
        self.admitted += 1
        trouble = self.faults.at(self.admitted)
        self.statistics.faults += trouble != Trouble()
        await self._before_an_answer(exchange, trouble)
        delivery = Delivery(
            exchange,
            work,
            self._envelope(trouble),
            trouble,
            self.latency,
            self.scales,
            lambda output_tokens: self.statistics.billed(
                exchange.key, work, output_tokens, self.clock.now_ns()
            ),
        )
        if not work.stream:
            await delivery.whole()
        elif not await delivery.stream():
            self.statistics.hang_ups += 1

    def _admit(self, exchange: Exchange, work: Work) -> None:
        """Take from the limits of key and model family; whatever happens next, their headers go with it."""
        now_ns, limits = self.clock.now_ns(), self.limits.of(exchange.key)
        meter = self._meters.get((exchange.key, work.model.family))
        if meter is None:
            meter = self._meters[exchange.key, work.model.family] = Meter(limits)
        counts = work.counts
        output_tokens = counts.output_tokens
        if limits.charge is Charge.MAX_TOKENS and counts.most_output_tokens is not None:
            output_tokens = counts.most_output_tokens
        cost = Cost(counts.input_tokens, output_tokens)
        exceeded = meter.admit(cost, now_ns)
        exchange.headers += exchange.dialect.limit_headers(meter.views(now_ns))
        if exceeded:
            self.statistics.refused(exchange.key, exceeded.kind, now_ns)
            refuse(exchange.dialect.rate_limited(work.name, exceeded))
        self.statistics.charged(work.model, cost, now_ns)

    async def _before_an_answer(self, exchange: Exchange, trouble: Trouble) -> None:
        """The faults that leave nothing to answer; nothing is billed for them."""
        if trouble.status:
            wait_s = self.faults.retry_after_s
            headers = () if wait_s is None else waiting(round(wait_s * NS_PER_S))
            refuse(exchange.dialect.fault(trouble.status, headers))
        if trouble.timeout:
            await exchange.hung_up()
            raise HungUpError
        if trouble.reset:
            await exchange.abort()
            raise HungUpError

    def _envelope(self, trouble: Trouble) -> Envelope:
        now_ns = self.clock.now_ns()
        digest = hashlib.sha256(f"{now_ns} {self.admitted}".encode()).hexdigest()
        return Envelope(digest, now_ns // NS_PER_S, told_usage(trouble.usage))
