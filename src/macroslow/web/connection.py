"""One HTTP/1.1 connection: llhttp's parser (httptools) within bounds, and requests served in their order.

A head has a deadline and a size, a target is a path (RFC 9112 section 3.2.1), trailers are dropped, and
a caller that does not read its answer is cut off. Bodies are bounded by the application, which knows
their route. A request that comes before the answer to the one before it waits for its turn, and the
caller is not read meanwhile; what came with it stays bytes until then, since a request that is parsed
weighs a hundred times what its caller sent. Everything that arrives here may come from an adversary.

One timer serves all of a connection's deadlines. It looks again when one has moved meanwhile, so that
hardly any request has to set it.
"""

import asyncio
import os
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import unquote

import orjson
from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser

from macroslow.authn.addresses import is_from
from macroslow.web.admission import address_of
from macroslow.web.crowd import Crowd, place_of
from macroslow.web.exchange import STATUS_LINES, Exchange, Flow, header_lines
from macroslow.web.forwarded import TrustedProxies
from macroslow.web.messages import ASGIApp, Scope
from macroslow.web.problems import TYPE_PREFIX
from macroslow.web.visit import REQUEST_ID_BYTES, SECURITY_HEADERS

MAX_TARGET_BYTES: Final = 8 * 1024
MAX_HEADERS: Final = 100
MAX_HEAD_BYTES: Final = 64 * 1024  # target and headers, or anything else between two pieces of body
PIECE_BYTES: Final = 2 * 1024  # are parsed at a time: as many requests as fit in it may wait, and no more
STUCK_S: Final = 60.0  # a caller that takes nothing of what is sent to it for so long is cut off
_VERSIONS: Final = frozenset({"1.0", "1.1"})
_NEVER: Final = float("inf")


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
    """What all connections of one listener share. `common` are headers of every answer; they may change.

    `refused` is told of each refusal of what never became a request: status, code and address.
    """

    app: ASGIApp
    bounds: Bounds
    refused: Callable[[int, str, str], None]
    crowd: Crowd
    common: list[tuple[bytes, bytes]] = field(default_factory=list)
    connections: set["Connection"] = field(default_factory=set)
    tasks: set["asyncio.Task[None]"] = field(default_factory=set)


class _Refused(Exception):  # noqa: N818 - ends the parser, which turns it into an answer
    """What came is not a request that is taken here."""


class Connection(asyncio.Protocol):
    """One client's connection. Requests on it are served one after the other."""

    def __init__(self, served: Served) -> None:
        self._served = served
        self._bounds = served.bounds
        self._loop = asyncio.get_running_loop()
        self._parser: Any = HttpRequestParser(self)
        # What follows a request with `connection: close` is not read, and no reason to refuse that one.
        self._parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self._waiting: deque[Exchange] = deque()
        self._current: Exchange | None = None  # is being answered
        self._newest: Exchange | None = None  # the last whose head came
        self._url = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._expects_continue = False
        self._in_head = False
        self._head_bytes = 0
        self._length = b"0"  # what the newest declares of its body, and how much of that came
        self._body_bytes = 0
        self._unparsed = b""  # what came behind a request that waits
        self._unproductive_bytes = 0
        self._unread: asyncio.TimerHandle | None = None  # runs while something waits to be taken
        self._verdict = (400, "bad-request", "this is not HTTP/1.1")
        self._last_word: tuple[int, str, str] | None = None  # comes after the answers under way
        self._due_s = _NEVER
        self._proxy = ""  # whose word about the caller is taken
        self._idle = False  # `due_s` is for the next request to begin, not for a head to end
        self._timer: asyncio.TimerHandle | None = None
        self._made = False  # whether what follows is there
        self.transport: asyncio.Transport
        self._flow: Flow
        self._scope: Scope

    # The connection

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take the connection, or say that there are too many."""
        self.transport = transport
        # One piece waits here for a slow reader, and no second one. Not 0: over TLS that never lets go.
        transport.set_write_buffer_limits(1)
        self._flow = Flow(transport)
        self._made = True
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
        self._served.connections.add(self)
        if not is_from(self._bounds.networks, client[0] if client else ""):
            self._served.refused(403, "address-refused", address_of(self._scope))
            transport.abort()
        elif refusal := self._served.crowd.enter(self, self._place()):
            self._end(503, "overloaded", refusal)
        else:
            self._expect(self._bounds.head_s)

    def _place(self) -> str:
        """Whose share of the connections this one is; "" for a proxy's, which are many callers'."""
        client = self._scope["client"]
        return "" if client is None or self._proxy else place_of(client[0])

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection; whoever works for it learns that nobody waits for him."""
        self._due_s = _NEVER
        if self._timer is not None:
            self._timer.cancel()
        self._served.connections.discard(self)
        self._served.crowd.leave(self)
        for exchange in (self._current, *self._waiting):
            if exchange is not None:
                exchange.leave()
        self.resume_writing()
        self._parser = None  # it holds on to us

    def pause_writing(self) -> None:
        """The caller has not taken all that is written."""
        if not self._made:  # uvloop's TLS says so of its own handshake
            return
        self._flow.pause_writing()
        self._watch_reader()

    def resume_writing(self) -> None:
        """He has."""
        if not self._made:
            return
        self._flow.resume_writing()
        if self._unread is not None:
            self._unread.cancel()

    def _watch_reader(self) -> None:
        unsent_bytes = self.transport.get_write_buffer_size()
        self._unread = self._loop.call_later(STUCK_S, self._look_at_reader, unsent_bytes)

    def _look_at_reader(self, unsent_bytes: int) -> None:
        if self.transport.get_write_buffer_size() == unsent_bytes:
            self.transport.abort()
        else:
            self._watch_reader()

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

    # The parser

    def on_message_begin(self) -> None:
        """A head begins."""
        self._in_head = True
        self._head_bytes = 0
        self._url = b""
        self._headers = []
        self._expects_continue = False
        self._length = b"0"
        self._body_bytes = 0

    def on_url(self, url: bytes) -> None:
        """Gather the target."""
        self._url += url
        if len(self._url) > MAX_TARGET_BYTES:
            self._refuse(414, "too-large", "the request's target is too long")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Gather a header; a trailer is dropped, since everything is decided by then."""
        if not self._in_head:
            return
        self._head_bytes += len(name) + len(value)
        if len(self._headers) >= MAX_HEADERS or self._head_bytes > MAX_HEAD_BYTES:
            self._refuse(431, "too-large", "too many or too large headers")
        name = name.lower()
        if name == b"content-length":
            self._length = value
        elif name == b"expect" and value.lower() == b"100-continue":
            self._expects_continue = True
        self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        """The head is complete: start the request if it is one."""
        self._in_head = self._idle = False
        self._unproductive_bytes = 0
        self._due_s = _NEVER
        if not self._url.startswith(b"/") or not self._url.isascii():
            self._refuse(400, "bad-request", "the request's target is not a path")
        parser = self._parser
        version: str = parser.get_http_version()
        if version not in _VERSIONS:
            self._refuse(505, "bad-request", "HTTP/1.1 is spoken here")
        if parser.should_upgrade():
            self._refuse(400, "bad-request", "the connection is not upgraded to anything")
        exchange = self._newest = Exchange(
            self._scope_of(parser.get_method().decode("ascii"), version),
            self.transport,
            self._flow,
            self._served.common,
            self._answered,
            keep_alive=version != "1.0" and parser.should_keep_alive(),
            expects_continue=self._expects_continue and version != "1.0",  # RFC 9110 section 10.1.1
        )
        if self._current is None:
            self._start(exchange)
        else:
            self._flow.hold()
            self._waiting.append(exchange)

    def on_body(self, body: bytes) -> None:
        """A piece of body."""
        self._unproductive_bytes = 0
        self._body_bytes += len(body)
        if self._newest is not None and not self._newest.complete:
            self._newest.take(body)

    def on_message_complete(self) -> None:
        """The body is complete."""
        self._unproductive_bytes = 0
        if self._newest is not None and not self._newest.complete:
            self._newest.end_body()

    # Bytes

    def _parse(self, data: bytes) -> None:
        """Up to the first request that has to wait."""
        at = 0
        while at < len(data) and not (self._waiting or self._last_word or self.transport.is_closing()):
            size_bytes = len(data) if len(data) <= PIECE_BYTES else max(PIECE_BYTES, self._body_left_bytes())
            self._feed(data[at : at + size_bytes])
            at += size_bytes
        self._unparsed = data[at:] if self._waiting else b""

    def _body_left_bytes(self) -> int:
        """In which no other request can begin."""
        return int(self._length) - self._body_bytes

    def _feed(self, data: bytes) -> None:
        """Parse a piece; end the connection if it is long and still says nothing."""
        self._unproductive_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade):
            self._end(*self._verdict)
            return
        if self._unproductive_bytes > MAX_HEAD_BYTES:
            self._end(431, "too-large", "the request's head is too large")
        elif self._idle:
            self._expect(self._bounds.head_s)

    # One request after the other

    def _scope_of(self, method: str, version: str) -> Scope:
        raw_path, _, query = self._url.partition(b"?")
        path = raw_path.decode("ascii")
        scope = {
            **self._scope,
            "http_version": version,
            "method": method,
            "path": unquote(path) if "%" in path else path,
            "raw_path": raw_path,
            "query_string": query,
            "headers": self._headers,
            "state": {},
        }
        if self._proxy:
            origin = self._bounds.proxies.origin(self._proxy, self._headers)
            scope["client"] = (origin.address, 0)
            scope["scheme"] = "https" if origin.https else "http"
        return scope

    def _start(self, exchange: Exchange) -> None:
        self._current = exchange
        task = self._loop.create_task(exchange.run(self._served.app))
        self._served.tasks.add(task)
        task.add_done_callback(self._served.tasks.discard)

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
            self._end(*self._last_word)
        elif self._in_head:
            self._expect(self._bounds.head_s)
        elif not self.transport.is_closing():
            self._expect(self._bounds.keep_alive_s, idle=True)

    # Time

    def _expect(self, limit_s: float, *, idle: bool = False) -> None:
        """What is waited for has `limit_s`."""
        self._idle = idle
        self._due_s = self._loop.time() + limit_s
        if self._timer is not None and self._timer.when() > self._due_s:
            self._timer.cancel()
            self._timer = None
        if self._timer is None:
            self._timer = self._loop.call_at(self._due_s, self._look)

    def _look(self) -> None:
        self._timer = None
        if self._due_s == _NEVER:
            return
        if self._loop.time() < self._due_s:
            self._timer = self._loop.call_at(self._due_s, self._look)
        elif self._idle:
            self.transport.close()
        else:
            self._end(408, "request-timeout", f"no request came within {self._bounds.head_s:g} s")

    # Refusals

    def _refuse(self, status: int, code: str, detail: str) -> None:
        self._verdict = (status, code, detail)
        raise _Refused

    def _end(self, status: int, code: str, detail: str) -> None:
        """Answer once, after the requests before it, and close. An answer under way to it is cut off."""
        self._due_s = _NEVER
        newest = self._newest
        if self.transport.is_closing():
            return
        if newest is not None and newest.more_body and not newest.complete:  # it is about that one's body
            self._newest = None
            if newest is not self._current:
                self._waiting.pop()
            elif newest.started:
                self.transport.abort()
                return
            else:
                newest.leave()
                self._current = None
        if self._current is None:
            self._served.refused(status, code, address_of(self._scope))
            self.transport.write(_answer(status, code, detail))
            self.transport.close()
        else:
            self._last_word = (status, code, detail)


def _address(info: object) -> tuple[str, int] | None:
    """Host and port; None for a Unix socket."""
    return (str(info[0]), int(info[1])) if isinstance(info, tuple) else None


def _answer(status: int, code: str, detail: str) -> bytes:
    """A whole response, for what never became a request (RFC 9457)."""
    request_id = os.urandom(REQUEST_ID_BYTES).hex()
    problem: dict[str, Any] = {
        "type": TYPE_PREFIX + code,
        "title": code.replace("-", " ").capitalize(),
        "status": status,
        "detail": detail,
        "request_id": request_id,
    }
    body = orjson.dumps(problem)
    headers = (
        *SECURITY_HEADERS,
        (b"x-request-id", request_id.encode("ascii")),
        (b"content-type", b"application/problem+json"),
        (b"content-length", b"%d" % len(body)),
        (b"connection", b"close"),
    )
    return STATUS_LINES[status] + header_lines(headers) + b"\r\n" + body
