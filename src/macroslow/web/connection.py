"""One HTTP/1.1 connection: requests are read within bounds and served in their order.

A head has a deadline, and a caller that does not read its answer is cut off. A request that comes before
the answer to the one before it waits for its turn, and the caller is not read meanwhile; what came with it
stays bytes until then, since a request that is parsed weighs a hundred times what its caller sent. Everything
that arrives here may come from an adversary.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from macroslow.authn.addresses import is_from
from macroslow.errors import OverloadedError, RequestTimeoutError
from macroslow.web.admission import address_of
from macroslow.web.crowd import NOWHERE, Crowd, place_of
from macroslow.web.deadline import Deadline
from macroslow.web.exchange import Exchange
from macroslow.web.faults import Fault, last_answer
from macroslow.web.flow import Flow
from macroslow.web.forwarded import TrustedProxies
from macroslow.web.messages import ASGIApp, Scope
from macroslow.web.reading import RequestReader

PIECE_BYTES: Final = 2 * 1024  # are parsed at a time: as many requests as fit in it may wait, and no more


@dataclass(frozen=True, slots=True)
class Bounds:
    """Of one listener: connections at once, seconds for a head, and seconds between two requests.

    `proxies` are those whose word about a caller's address is taken. Where `networks` are named, whoever
    connects from elsewhere is cut off without a word.
    """

    connections: int = 1000
    head_s: float = 10.0
    keep_alive_s: float = 30.0
    proxies: TrustedProxies = field(default_factory=TrustedProxies)
    networks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Served:
    """What all connections of one listener share. `common` are lines of every answer; they may change.

    `refused` is told of each refusal of what never became a request: status, code and address. `tasks` are
    those of the requests under way; one that was cancelled before it began stays there, done.
    """

    app: ASGIApp
    bounds: Bounds
    refused: Callable[[int, str, str], None]
    crowd: Crowd
    common: list[bytes] = field(default_factory=list)
    connections: set["Connection"] = field(default_factory=set)
    tasks: set["asyncio.Task[None]"] = field(default_factory=set)

    def is_for(self, address: str) -> bool:
        """Whether anybody at `address` may connect."""
        return is_from(self.bounds.networks, address)

    def enter(self, who: "Connection", address: str) -> str:
        """Count a caller in, once; or say why not. Behind a proxy are many callers."""
        place = NOWHERE if self.bounds.proxies.trusts(address) else place_of(address)
        return self.crowd.enter(who, place)


class Connection(asyncio.Protocol):
    """One client's connection. Requests on it are served one after the other.

    `made` says that it came about, and will be told of its end.
    """

    def __init__(self, served: Served) -> None:
        self._served = served
        self._bounds = served.bounds
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[Exchange] = deque()
        self._current: Exchange | None = None  # is being answered
        self._unparsed = b""  # what came behind a request that waits
        self._last_word: Fault | None = None  # comes after the answers under way
        self._proxy = ""  # whose word about the caller is taken
        self._idle = False  # the deadline is for the next request to begin, not for a head to end
        self._deadline = Deadline(self._too_late)
        self.made = False  # whether what follows is there
        self.transport: asyncio.Transport
        self._flow: Flow
        self._scope: Scope
        self._reader: RequestReader

    # The connection

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take the connection, or say that there are too many."""
        self.transport = transport
        self._flow = Flow(transport)
        client = _address(transport.get_extra_info("peername"))
        if client is not None and self._bounds.proxies.trusts(client[0]):
            self._proxy = client[0]
        self._scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "server": _address(transport.get_extra_info("sockname")),
            "client": client,
            "scheme": "http" if transport.get_extra_info("sslcontext") is None else "https",
            "root_path": "",
        }
        self._reader = RequestReader(self._scope, self._begin)
        self.made = True
        self._served.connections.add(self)
        address = client[0] if client else ""
        if not self._served.is_for(address):
            self._served.refused(403, "address-refused", address_of(self._scope))
            transport.abort()
        elif refusal := self._served.enter(self, address):
            self._end(Fault(503, OverloadedError(refusal)))
        else:
            self._deadline.expect(self._bounds.head_s)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection; whoever works for it learns that nobody waits for him."""
        self._deadline.close()
        self._served.connections.discard(self)
        self._served.crowd.leave(self)
        for exchange in (self._current, *self._waiting):
            if exchange is not None:
                exchange.leave()
        self.resume_writing()
        self._reader.close()

    def pause_writing(self) -> None:
        """The caller has not taken all that is written."""
        if self.made:  # uvloop's TLS says so of its own handshake
            self._flow.pause_writing()

    def resume_writing(self) -> None:
        """He has."""
        if self.made:
            self._flow.resume_writing()

    def data_received(self, data: bytes) -> None:
        """Parse what came, unless requests before it wait."""
        if self._unparsed or self._waiting:
            self._unparsed += data
        else:
            self._parse(data)

    def shutdown(self) -> None:
        """Take no further request, and close after the answers to those that are here."""
        if self._current is None:
            self.transport.close()
        else:
            (self._waiting[-1] if self._waiting else self._current).keep_alive = False

    # One request after the other

    def _parse(self, data: bytes) -> None:
        """Up to the first request that has to wait."""
        at, reader = 0, self._reader
        while at < len(data) and not (self._waiting or self._last_word or self.transport.is_closing()):
            size_bytes = len(data) if len(data) <= PIECE_BYTES else max(PIECE_BYTES, reader.body_left_bytes)
            fault = reader.feed(data[at : at + size_bytes])
            at += size_bytes
            if fault is not None:
                self._end(fault)
            elif self._idle:
                self._idle = False
                self._deadline.expect(self._bounds.head_s)
        self._unparsed = data[at:] if self._waiting else b""

    def _begin(self, scope: Scope, keep_alive: bool, expects_continue: bool) -> Exchange:
        """Serve the request of a head, or have it wait."""
        self._idle = False
        self._deadline.lift()
        if self._proxy:
            origin = self._bounds.proxies.origin(self._proxy, scope["headers"])
            scope["client"] = (origin.address, 0)
            scope["scheme"] = "https" if origin.https else "http"
        exchange = Exchange(
            scope,
            self.transport,
            self._flow,
            self._served.common,
            self._answered,
            keep_alive=keep_alive,
            expects_continue=expects_continue,
        )
        if self._current is None:
            self._start(exchange)
        else:
            self._flow.hold()
            self._waiting.append(exchange)
        return exchange

    def _start(self, exchange: Exchange) -> None:
        self._current = exchange
        tasks = self._served.tasks
        tasks.add(self._loop.create_task(exchange.run(self._served.app, tasks)))

    def _answered(self) -> None:
        """The answer is written, though perhaps not taken; or there is none, and the connection closes."""
        self._current = None
        if self.transport.is_closing():
            return
        if self._waiting:
            self._start(self._waiting.popleft())
        if not self._waiting and self._unparsed:
            self._parse(self._unparsed)
        if not self._waiting:
            self._flow.release()
        if self._current is None:
            self._await_next()

    def _await_next(self) -> None:
        if self._last_word is not None:
            self._end(self._last_word)
        elif self._reader.in_head:
            self._deadline.expect(self._bounds.head_s)
        elif not self.transport.is_closing():
            self._idle = True
            self._deadline.expect(self._bounds.keep_alive_s)

    # The end

    def _too_late(self) -> None:
        if self._idle:
            self.transport.close()
        else:
            detail = f"no request came within {self._bounds.head_s:g} s"
            self._end(Fault(408, RequestTimeoutError(detail, step="connection")))

    def _end(self, fault: Fault) -> None:
        """Answer once, after the requests before it, and close. An answer under way to it is cut off."""
        self._deadline.lift()
        newest = self._reader.newest
        if self.transport.is_closing():
            return
        if newest is not None and newest.more_body and not newest.complete:  # it is about that one's body
            self._reader.newest = None
            if newest is not self._current:
                self._waiting.pop()
            elif newest.started:
                self.transport.abort()
                return
            else:
                newest.leave()
                self._current = None
        if self._current is None:
            self._served.refused(fault.status, fault.error.code, address_of(self._scope))
            encrypted = self._scope["scheme"] == "https"
            self.transport.write(last_answer(fault, self._served.common, encrypted=encrypted))
            self.transport.close()
        else:
            self._last_word = fault


def _address(info: object) -> tuple[str, int] | None:
    """Host and port; None for a Unix socket."""
    return (str(info[0]), int(info[1])) if isinstance(info, tuple) else None
