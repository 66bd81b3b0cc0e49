"""Listening: the gate on its sockets, and a run's egress on the one that its sandbox made.

Everything runs on the loop that is running (uvloop where the caller started it); no signal handler
is installed and nothing is printed.
"""

import asyncio
import errno
import gc
import socket
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from email.utils import formatdate
from typing import Final

from macroslow.errors import ConfigurationError
from macroslow.web.connection import Bounds, Connection, Served
from macroslow.web.crowd import Crowd
from macroslow.web.exchange import header_lines
from macroslow.web.handshakes import Handshakes
from macroslow.web.lifecycle import Lifecycle
from macroslow.web.messages import ASGIApp
from macroslow.web.tls import ServerTLS

BACKLOG: Final = 1024
UNSENT_BYTES: Final = 64 * 1024  # of an answer, that a kernel which can be told so holds for its reader
EGRESS_BOUNDS: Final = Bounds(connections=32, head_s=10.0, keep_alive_s=60.0)
BESIDE_GRACE_S: Final = 2.0  # what is asked there is done in moments
CANCELLED_S: Final = 15.0  # what cancelled work gets to settle what it spent
COLLECT_AFTER: Final = (10_000, 10, 10)  # containers, and collections of the younger generation before


def bind(host: str, port: int, chosen_by: str = "--listen HOST:PORT") -> list[socket.socket]:
    """Open listening sockets for every address of `host`.

    ConfigurationError where one cannot be had; `chosen_by` is what the operator chooses it with.
    """
    sockets: list[socket.socket] = []
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for family, _, _, _, address in dict.fromkeys(found):
            # Port 0 means any; the second address then takes what the first one got.
            taken = sockets[0].getsockname()[1] if sockets else port
            sockets.append(_listen(family, (address[0], taken, *address[2:])))
    except OSError as error:
        for one in sockets:
            one.close()
        raise ConfigurationError(
            f"cannot listen on {host}:{port}: {error.strerror}",
            fix=_repair(error, chosen_by),
        ) from error
    return sockets


def _repair(error: OSError, chosen_by: str) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"stop what listens there, or choose another address with {chosen_by}"
    if error.errno == errno.EACCES:
        return f"choose a port from 1024 on with {chosen_by}: those below are the system's"
    return f"this machine has no such address: choose one of its own with {chosen_by}, or 0.0.0.0 for all"


def _listen(family: socket.AddressFamily, address: tuple[object, ...]) -> socket.socket:
    one = socket.socket(family, socket.SOCK_STREAM)
    try:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        one.bind(address)
        if option := getattr(socket, "TCP_NOTSENT_LOWAT", None):  # accepted connections inherit it
            one.setsockopt(socket.IPPROTO_TCP, option, UNSENT_BYTES)
        one.listen(BACKLOG)
        one.setblocking(False)
    except OSError:
        one.close()
        raise
    return one


@asynccontextmanager
async def serve(
    app: ASGIApp,
    sockets: Sequence[socket.socket],
    lifecycle: Lifecycle,
    *,
    bounds: Bounds | None = None,
    refused: Callable[[int, str, str], None] | None = None,
    tls: ServerTLS | None = None,
    grace_s: float = 20.0,
) -> AsyncIterator[None]:
    """Serve the gate until the context is left, then end in order.

    `refused` is told status, code and address whenever the listener refuses what never became a request.

    Readiness says no first, then no connection is taken any more; requests under way have
    `grace_s` to end, are cancelled after that, and have CANCELLED_S to settle. The sockets are closed.
    """
    listener = Listener(app, bounds or Bounds(), refused or _untold)
    await listener.open(sockets, tls)
    listener.tell_time()
    watching = asyncio.create_task(tls.watch()) if tls is not None else None
    lifecycle.serve()
    try:
        with few_collections():
            yield
    finally:
        lifecycle.stop()
        if watching is not None:
            watching.cancel()
        await listener.close(grace_s)


@asynccontextmanager
async def serve_beside(
    app: ASGIApp,
    sockets: Sequence[socket.socket],
    bounds: Bounds,
    refused: Callable[[int, str, str], None],
    tls: ServerTLS | None = None,
) -> AsyncIterator[None]:
    """Serve another application on sockets of its own, as long as the context lasts. They are closed then."""
    listener = Listener(app, bounds, refused)
    await listener.open(sockets, tls)
    listener.tell_time()
    try:
        yield
    finally:
        await listener.close(BESIDE_GRACE_S)


@contextmanager
def few_collections() -> Iterator[None]:
    """Look for cycles seldom, and never among what was there before the first request.

    Hundreds of thousands of objects are, and stay; what a request makes is freed as it ends, nearly all
    of it without the collector, which otherwise costs a tenth of each request.
    """
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(*COLLECT_AFTER)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


@asynccontextmanager
async def serve_socket(
    sock: socket.socket, app: ASGIApp, bounds: Bounds = EGRESS_BOUNDS
) -> AsyncIterator[None]:
    """Serve an application on one listening socket until the context is left, then cut off what is open."""
    listener = Listener(app, bounds)
    await listener.open([sock])
    try:
        yield
    finally:
        await listener.close(0.0)


def _untold(status: int, code: str, address: str) -> None:
    """Nobody is told of a refusal."""


class Listener:
    """Some listening sockets with one application, and the connections made to them."""

    def __init__(
        self, app: ASGIApp, bounds: Bounds, refused: Callable[[int, str, str], None] = _untold
    ) -> None:
        self._served = Served(app, bounds, refused, Crowd(bounds.connections))
        self._servers: list[asyncio.Server] = []
        self._handshakes: Handshakes | None = None
        self._clock_hand: asyncio.TimerHandle | None = None

    @property
    def connections(self) -> int:
        """How many callers are connected."""
        return len(self._served.connections)

    async def open(self, sockets: Sequence[socket.socket], tls: ServerTLS | None = None) -> None:
        """Take connections, over TLS if it is given."""
        if tls is not None:
            self._handshakes = Handshakes(self._served, tls)
            for sock in sockets:
                self._handshakes.open(sock)
            return
        loop = asyncio.get_running_loop()
        for sock in sockets:
            self._servers.append(await loop.create_server(self._connection, sock=sock, backlog=BACKLOG))

    def tell_time(self) -> None:
        """Put a Date on every answer (RFC 9110 section 6.6.1), made once a second."""
        self._served.common[:] = [header_lines([(b"date", formatdate(usegmt=True).encode("ascii"))])]
        self._clock_hand = asyncio.get_running_loop().call_later(1.0, self.tell_time)

    async def close(self, grace_s: float) -> None:
        """Take no connection any more, let requests end for `grace_s`, then cancel them."""
        for server in self._servers:
            server.close()
        if self._handshakes is not None:
            await self._handshakes.close()
        for connection in list(self._served.connections):
            connection.shutdown()
        await self._wait(grace_s)
        for task in self._served.tasks:
            task.cancel()
        await self._wait(CANCELLED_S)
        for connection in list(self._served.connections):
            connection.transport.abort()
        if self._clock_hand is not None:
            self._clock_hand.cancel()
        await asyncio.sleep(0)  # the aborted connections are told so on the loop's next turn

    async def _wait(self, limit_s: float) -> None:
        """Wait until no request is under way, at most `limit_s`."""
        loop = asyncio.get_running_loop()
        until_s = loop.time() + limit_s
        while (left_s := until_s - loop.time()) > 0:
            under_way = [task for task in self._served.tasks if not task.done()]
            if not under_way:
                return
            await asyncio.wait(under_way, timeout=left_s)

    def _connection(self) -> Connection:
        return Connection(self._served)
