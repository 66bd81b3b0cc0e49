"""One HTTP/1.1 connection: uvicorn's, with the bounds that it leaves to others.

uvicorn bounds neither the size nor the number of headers, nor how slowly they come, and takes
targets of every form. Here a head has a deadline and a size, a target is a path (RFC 9112 section
3.2.1), trailers are dropped, and a caller that does not read its answer is cut off. Bodies are bounded
by the application, which knows their route. Everything that arrives here may come from an adversary.
"""

import asyncio
import os
from dataclasses import dataclass, field
from typing import Any, Final, cast

import orjson
from httptools import HttpRequestParser
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from macroslow.web.forwarded import TrustedProxies
from macroslow.web.problems import TYPE_PREFIX
from macroslow.web.visit import REQUEST_ID_BYTES, SECURITY_HEADERS

MAX_TARGET_BYTES: Final = 8 * 1024
MAX_HEADERS: Final = 100
MAX_HEAD_BYTES: Final = 64 * 1024  # target and headers, or anything else between two pieces of body
STUCK_S: Final = 30.0  # a caller that takes nothing of a finished answer for so long is cut off
_VERSIONS: Final = frozenset({"1.0", "1.1"})


@dataclass(frozen=True, slots=True)
class Bounds:
    """Of one listener: connections at once, seconds for a head, and seconds between two requests.

    `proxies` are those whose word about a caller's address is taken.
    """

    connections: int = 1000
    head_s: float = 10.0
    keep_alive_s: float = 30.0
    proxies: TrustedProxies = field(default_factory=TrustedProxies)


class _Refused(Exception):  # noqa: N818 - ends the parser, which turns it into an answer
    """What came is not a request that is taken here."""


class Connection(HttpToolsProtocol):
    """One client's connection. Requests on it are served one after the other."""

    def __init__(self, config: Config, state: ServerState, bounds: Bounds) -> None:
        super().__init__(config, state, {})
        self._bounds = bounds
        self._head_timer: asyncio.TimerHandle | None = None
        self._in_head = False
        self._through_proxy = False
        self._head_bytes = 0
        self._unproductive_bytes = 0
        self._unsent_bytes = 0
        self._verdict = (400, "bad-request", "this is not HTTP/1.1")

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take the connection, or say that there are too many."""
        super().connection_made(transport)
        # One piece waits here for a slow reader, and no second one. Not 0: over TLS that never lets go.
        transport.set_write_buffer_limits(1)
        self._through_proxy = self.client is not None and self._bounds.proxies.trusts(self.client[0])
        if len(self.connections) > self._bounds.connections:
            self._end(503, "overloaded", "too many connections")
        else:
            self._arm()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._disarm()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what came; end the connection if it is long and still says nothing."""
        if self.transport.is_closing():
            return
        self._unproductive_bytes += len(data)
        super().data_received(data)
        if self._unproductive_bytes > MAX_HEAD_BYTES:
            self._end(431, "too-large", "the request's head is too large")
        elif self._head_timer is None and not self._answering():
            self._arm()

    def on_message_begin(self) -> None:
        """A head begins."""
        self._in_head = True
        self._head_bytes = 0
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """Gather the target."""
        super().on_url(url)
        if len(self.url) > MAX_TARGET_BYTES:
            self._refuse(414, "too-large", "the request's target is too long")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Gather a header; a trailer is dropped, since everything is decided by then."""
        if not self._in_head:
            return
        self._head_bytes += len(name) + len(value)
        if len(self.headers) >= MAX_HEADERS or self._head_bytes > MAX_HEAD_BYTES:
            self._refuse(431, "too-large", "too many or too large headers")
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The head is complete: start the request if it is one."""
        self._in_head = False
        self._unproductive_bytes = 0
        self._disarm()
        if not self.url.startswith(b"/"):
            self._refuse(400, "bad-request", "the request's target is not a path")
        parser: HttpRequestParser = cast("Any", self.parser)
        if parser.get_http_version() not in _VERSIONS:
            self._refuse(505, "bad-request", "HTTP/1.1 is spoken here")
        if parser.should_upgrade():
            self._refuse(400, "bad-request", "the connection is not upgraded to anything")
        if self._through_proxy and self.client is not None:
            origin = self._bounds.proxies.origin(self.client[0], self.headers)
            self.scope["client"] = (origin.address, 0)
            self.scope["scheme"] = "https" if origin.https else "http"
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A piece of body."""
        self._unproductive_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The body is complete."""
        self._unproductive_bytes = 0
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """The answer is written, though perhaps not taken."""
        super().on_response_complete()
        if self.transport.is_closing():
            self.loop.call_later(STUCK_S, self._cut_off_if_stuck)
        elif self._in_head and self._head_timer is None:
            self._arm()

    def timeout_keep_alive_handler(self) -> None:
        """Nothing came for a while: close, once the caller has its answer."""
        if self.transport.get_write_buffer_size():
            self.timeout_keep_alive_task = self.loop.call_later(STUCK_S, self._cut_off_if_stuck)
        else:
            super().timeout_keep_alive_handler()

    def send_400_response(self, msg: str) -> None:
        """Answer what the parser refused; `msg` is the parser's, the verdict is ours."""
        self._end(*self._verdict)

    def _cut_off_if_stuck(self) -> None:
        unsent_bytes = self.transport.get_write_buffer_size()
        if unsent_bytes and unsent_bytes == self._unsent_bytes:
            self.transport.abort()
        elif unsent_bytes:
            self._unsent_bytes = unsent_bytes
            self.loop.call_later(STUCK_S, self._cut_off_if_stuck)
        else:
            self.transport.close()

    def _answering(self) -> bool:
        """Whether a request is under way."""
        cycle = cast("RequestResponseCycle | None", self.cycle)  # uvicorn has none before the first
        return cycle is not None and not cycle.response_complete

    def _arm(self) -> None:
        self._head_timer = self.loop.call_later(self._bounds.head_s, self._head_is_late)

    def _disarm(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _head_is_late(self) -> None:
        self._end(408, "request-timeout", f"no request came within {self._bounds.head_s:g} s")

    def _refuse(self, status: int, code: str, detail: str) -> None:
        self._verdict = (status, code, detail)
        raise _Refused

    def _end(self, status: int, code: str, detail: str) -> None:
        """Answer once and close. Into an answer under way nothing is written: it is cut off."""
        self._disarm()
        if self.transport.is_closing():
            return
        if self._answering() and self.cycle.response_started:
            self.transport.abort()
            return
        self.transport.write(_answer(status, code, detail))
        self.transport.close()


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
    lines = b"".join(b"%b: %b\r\n" % header for header in headers)
    return STATUS_LINE[status] + lines + b"\r\n" + body
