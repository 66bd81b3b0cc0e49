"""Spans wait here, in a bounded queue, until a batch of them is sent: nobody waits for the collector.

A span is lost, and counted, where the queue is full, where the collector does not want it, and where it
did not take a batch after ATTEMPTS; a batch whose answer was lost may arrive twice. What waits at an orderly
end is sent once more, for at most FLUSH_S.

Source: OTLP specification 1.9, "OTLP/HTTP Response" (which failures are repeated, and how).
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from itertools import islice
from typing import Final

from macroslow.adapters.otlp.collector import Collector, Later, Never, Taken
from macroslow.adapters.otlp.encoding import encode
from macroslow.inference.trace import Span
from macroslow.limits.backoff import ENTROPY_BYTES, wait_ns
from macroslow.ports import NS_PER_S, Entropy

log: Final = logging.getLogger("macroslow.traces")

MAX_WAITING: Final = 4096
BATCH: Final = 256
EVERY_S: Final = 5.0  # how old a span gets before it is sent, if there is no batch of them
ATTEMPTS: Final = 5
FLUSH_S: Final = 5.0
_PATIENCE_NS: Final = 120 * NS_PER_S


class SpanExporter:
    """`put` returns at once; `run` sends until it is cancelled, then `flush`. One event loop."""

    def __init__(
        self,
        collector: Collector,
        resource: Mapping[str, str],
        entropy: Entropy,
        *,
        every_s: float = EVERY_S,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._collector = collector
        self._resource = resource
        self._entropy = entropy
        self._every_s = every_s
        self._sleep = sleep
        self._waiting: deque[Span] = deque()
        self._batch = asyncio.Event()
        self._failing = False
        self._counts = {"exported": 0, "rejected": 0, "dropped": 0}

    @property
    def counts(self) -> Mapping[str, int]:
        """What became of the spans so far."""
        return self._counts

    def put(self, span: Span) -> None:
        """Have it sent; of more than MAX_WAITING the newest are dropped."""
        if len(self._waiting) >= MAX_WAITING:
            self._counts["dropped"] += 1
            return
        self._waiting.append(span)
        if len(self._waiting) >= BATCH:
            self._batch.set()

    async def run(self) -> None:
        """Send what comes. Ends by cancellation."""
        while True:
            try:
                async with asyncio.timeout(self._every_s):
                    await self._batch.wait()
            except TimeoutError:
                pass
            self._batch.clear()
            while self._waiting:
                await self._send(ATTEMPTS)

    async def flush(self) -> None:
        """Send what waits, each batch once; what is left after FLUSH_S is dropped."""
        try:
            async with asyncio.timeout(FLUSH_S):
                while self._waiting:
                    await self._send(1)
        except TimeoutError:
            self._counts["dropped"] += len(self._waiting)
            self._waiting.clear()

    async def _send(self, attempts: int) -> None:
        """Bring the oldest batch to its end. It stays in the queue until then, lest cancelling lose it."""
        spans = list(islice(self._waiting, BATCH))
        body = await asyncio.to_thread(encode, spans, self._resource)
        outcome = await self._collector.post(body)
        for attempt in range(attempts - 1):
            if not isinstance(outcome, Later):
                break
            await self._sleep(self._pause_s(attempt, outcome))
            outcome = await self._collector.post(body)
        for _ in spans:
            self._waiting.popleft()
        self._count(outcome, len(spans))

    def _pause_s(self, attempt: int, outcome: Later) -> float:
        after_ns = None if outcome.after_s is None else outcome.after_s * NS_PER_S
        pause_ns = wait_ns(attempt, self._entropy.random(ENTROPY_BYTES), _PATIENCE_NS, after_ns)
        return (pause_ns or 0) / NS_PER_S

    def _count(self, outcome: Taken | Later | Never, spans: int) -> None:
        match outcome:
            case Taken(rejected):
                rejected = min(rejected, spans)
                self._counts["exported"] += spans - rejected
                self._counts["rejected"] += rejected
                if self._failing:
                    log.info("%s takes spans again", self._collector.name)
                self._failing = False
            case Later(reason) | Never(reason):
                self._counts["dropped"] += spans
                if not self._failing:  # said once, not for every batch
                    log.warning("%s takes no spans (%s): they are dropped", self._collector.name, reason)
                self._failing = True
