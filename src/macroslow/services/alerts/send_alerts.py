"""Alerts on their way to receivers: repeated with growing pauses, bounded, and in nobody's way.

An alert is in the log before it comes here, so one that is given up is lost to its receiver alone. A
receiver that is down holds at most MAX_WAITING messages; of more, the oldest are given up.
"""

import asyncio
import json
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from macroslow.errors import UpstreamRefusedError, UpstreamUnavailableError
from macroslow.ports import Entropy
from macroslow.services.verbs import utc

log: Final = logging.getLogger("macroslow.alerts")

MAX_WAITING: Final = 100
PAUSES_S: Final = (5.0, 30.0, 120.0, 600.0, 1800.0)
"""Before each repetition, each cut by up to a half at random so that receivers are not hit at once."""


class Receiver(Protocol):
    """Where alerts go."""

    @property
    def name(self) -> str:
        """For the server's own log."""
        ...

    async def post(self, message_id: str, body: bytes) -> None:
        """Deliver once. UpstreamRefusedError: never again; UpstreamUnavailableError: not now."""
        ...


@dataclass(frozen=True, slots=True)
class Message:
    """One alert as it is sent. The same `id` comes with every repetition."""

    id: str
    body: bytes


class Outlet(Protocol):
    """Where alerts go besides the log; returns at once."""

    def send(self, message: Message) -> None: ...


def message_of(kind: str, alert_id: str, gateway: str, facts: Mapping[str, object], now_ns: int) -> Message:
    """An alert of `kind` about `facts`, as Standard Webhooks recommend: type, timestamp, data."""
    body = {"type": kind, "timestamp": utc(now_ns), "data": {"gateway": gateway, **facts}}
    return Message(f"alert_{alert_id}", json.dumps(body, ensure_ascii=False).encode())


class SendAlerts:
    """`send` returns at once; `run` delivers until it is cancelled. One event loop."""

    def __init__(
        self,
        receivers: Sequence[Receiver],
        entropy: Entropy,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._lines = [_Line(receiver, entropy, sleep) for receiver in receivers]

    def send(self, message: Message) -> None:
        """Have every receiver told."""
        for line in self._lines:
            line.put(message)

    async def run(self) -> None:
        """Deliver what comes, to each receiver by itself. Ends by cancellation."""
        async with asyncio.TaskGroup() as group:
            for line in self._lines:
                group.create_task(line.run())

    @property
    def delivered(self) -> int:
        """Messages that were taken, by all receivers together."""
        return sum(line.delivered for line in self._lines)

    @property
    def given_up(self) -> int:
        """Messages that a receiver will never get."""
        return sum(line.given_up for line in self._lines)


class _Line:
    """What waits for one receiver."""

    def __init__(
        self, receiver: Receiver, entropy: Entropy, sleep: Callable[[float], Awaitable[None]]
    ) -> None:
        self._receiver = receiver
        self._entropy = entropy
        self._sleep = sleep
        self._waiting: deque[Message] = deque()
        self._something = asyncio.Event()
        self._closed = False
        self.delivered = 0
        self.given_up = 0

    def put(self, message: Message) -> None:
        if self._closed:
            self.given_up += 1
            return
        if len(self._waiting) >= MAX_WAITING:
            self._waiting.popleft()
            self.given_up += 1
        self._waiting.append(message)
        self._something.set()

    async def run(self) -> None:
        while not self._closed:
            await self._something.wait()
            if self._waiting:
                await self._deliver(self._waiting.popleft())
            else:
                self._something.clear()

    async def _deliver(self, message: Message) -> None:
        for pause_s in (*PAUSES_S, None):
            try:
                await self._receiver.post(message.id, message.body)
            except UpstreamRefusedError as error:
                self._close(error.detail)
                return
            except UpstreamUnavailableError as error:
                if pause_s is None:
                    log.warning("an alert was given up: %s", error.detail)
                    self.given_up += 1
                    return
                await self._sleep(pause_s * (1 - self._entropy.random(1)[0] / 512))
            else:
                self.delivered += 1
                return

    def _close(self, why: str) -> None:
        log.warning("%s; it gets none until the next start", why)
        self._closed = True
        self.given_up += 1 + len(self._waiting)
        self._waiting.clear()
