"""A client of HTTP/1.1 for one destination: send a request's bytes, read the answer as it comes.

It does what a gateway's hot path needs and no more: kept-alive connections, TLS, time-outs, back
pressure. It has no redirects, cookies, proxies, compression, pipelining or retries: that a request
was not read is something that nobody on this side can know (RFC 9110, section 9.2.2). So that few
meet a closing connection, the most recently used one is taken, the kernel is asked whether it is
still open, and none is kept longer than KEPT_ALIVE_S or than its server says.

One timer serves all exchanges. It is set for the earliest moment at which anything could be late,
and since most exchanges end before, it hardly ever has to be set again.

Source: RFC 9112, section 9.
"""

import asyncio
import re
from typing import Final

from macroslow.outbound.connection import RECEIVED_BYTES, Connection
from macroslow.outbound.dialling import Admits, Dialler, NotConnectedError, anywhere
from macroslow.outbound.exchange import Exchange, Patience

KEPT_ALIVE_S: Final = 15.0
MARGIN_S: Final = 1.0  # so much before a server's own time-out a connection is given up
TICK_S: Final = 0.02  # the timer is not set for less than this

_NEVER: Final = float("inf")
_TIMEOUT: Final = re.compile(rb"(?:^|[,\s])timeout=(\d{1,6})(?:$|[,\s])", re.IGNORECASE)


class Client:
    """Connections to one destination. Make it anywhere; use and close it on one event loop."""

    def __init__(
        self, host: str, port: int, *, tls: bool, patience: Patience, admits: Admits = anywhere
    ) -> None:
        self._dialler = Dialler(host, port, tls=tls, admits=admits)
        self._patience = patience
        self._silence_s = min(patience.head_s, patience.idle_s)  # nothing is late before
        self._buffer = memoryview(bytearray(RECEIVED_BYTES))
        self._kept: dict[Connection, None] = {}  # the most recently used one is the last
        self._under_way: set[Exchange] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._fires_s = _NEVER
        self._loop: asyncio.AbstractEventLoop

    async def send(self, head: bytes, body: bytes, deadline_s: float) -> Exchange:
        """Send a request and wait for the head of its answer; whoever gets it must `end` it.

        All of the exchange has `deadline_s`. Raises NotConnectedError and BrokenOffError.
        """
        loop = self._loop = asyncio.get_running_loop()
        now_s = loop.time()
        ends_s = now_s + deadline_s
        connection = self._take(now_s)
        if connection is None:
            connection = await self._connect(deadline_s)
            now_s = loop.time()
        if now_s >= ends_s:
            connection.abort()
            raise NotConnectedError("no time is left")
        exchange = Exchange(loop, connection, self, self._patience, ends_s)
        if (late_s := min(ends_s, now_s + self._silence_s)) < self._fires_s:
            self.watch(late_s)
        self._under_way.add(exchange)
        try:
            await exchange.send(head, body)
        except BaseException:
            exchange.end()
            raise
        return exchange

    def close(self) -> None:
        """Close all connections; exchanges that are under way break off."""
        for exchange in list(self._under_way):
            exchange.end()
        for connection in list(self._kept):
            connection.abort()
        self._kept.clear()
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._fires_s = None, _NEVER

    def release(self, exchange: Exchange, connection: Connection, *, reusable: bool) -> None:
        """See `Owner`."""
        self._under_way.discard(exchange)
        said = exchange.headers.get(b"keep-alive")
        kept_s = KEPT_ALIVE_S if said is None else _kept_s(said)
        if not reusable or kept_s <= 0:
            connection.abort()
            return
        connection.reused = True
        connection.expires_s = self._loop.time() + kept_s
        self._kept[connection] = None
        if connection.expires_s < self._fires_s:
            self.watch(connection.expires_s)

    def watch(self, at_s: float) -> None:
        """See `Owner`."""
        if at_s < self._fires_s:
            if self._timer is not None:
                self._timer.cancel()
            self._fires_s = at_s
            self._timer = self._loop.call_at(at_s, self._sweep)

    def _sweep(self) -> None:
        """Break off what is late and close what was idle for too long."""
        now_s = self._loop.time()
        self._timer, self._fires_s = None, _NEVER
        for connection in [kept for kept in self._kept if kept.expires_s <= now_s]:
            del self._kept[connection]
            connection.abort()
        dues = [due_s for one in list(self._under_way) if (due_s := one.check(now_s)) > now_s]
        dues += [kept.expires_s for kept in self._kept]
        next_s = min(dues, default=_NEVER)
        if next_s < _NEVER:
            self.watch(max(next_s, now_s + TICK_S))

    def _take(self, now_s: float) -> Connection | None:
        """A kept connection that is still good."""
        while self._kept:
            connection, _ = self._kept.popitem()
            if connection.expires_s > now_s and connection.quiet():
                return connection
            connection.abort()
        return None

    async def _connect(self, deadline_s: float) -> Connection:
        limit_s = min(self._patience.connect_s, deadline_s)
        connection = await self._dialler.connect(lambda: Connection(self._forget, self._buffer), limit_s)
        if not connection.open():
            raise NotConnectedError("it spoke or closed before it was asked")
        return connection

    def _forget(self, connection: Connection) -> None:
        self._kept.pop(connection, None)


def _kept_s(said: bytes) -> float:
    """How long a connection is kept; a server may say that it waits less (RFC 2068, section 19.7.1.1)."""
    timeout = _TIMEOUT.search(said)
    return min(KEPT_ALIVE_S, int(timeout[1]) - MARGIN_S) if timeout else KEPT_ALIVE_S
