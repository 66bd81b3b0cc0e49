"""One request on a connection and its answer, as an ASGI application meets them.

The head of an answer whose length is declared goes out with its body, in one write; without a length
the answer is sent in chunks (RFC 9112 section 7.1), each as it comes. An answer that its application
leaves incomplete is cut off, so that nobody takes it for a whole one.

Source: ASGI 3.0, "HTTP & WebSocket ASGI Message Format"; RFC 9112 sections 4, 5, 6.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Final

from macroslow.web.flow import Flow
from macroslow.web.messages import ASGIApp, Headers, Message, Scope
from macroslow.web.visit import BODILESS, what_failed

HIGH_WATER_BYTES: Final = 64 * 1024  # of a body that nobody reads: then the caller must wait

_PHRASES: Final = {status.value: status.phrase for status in HTTPStatus}
STATUS_LINES: Final = {
    status: f"HTTP/1.1 {status} {_PHRASES.get(status, '')}\r\n".encode("ascii") for status in range(200, 600)
}
CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_VISIBLE: Final = bytes((0x09, *range(0x20, 0x7F), *range(0x80, 0x100)))

log: Final = logging.getLogger("macroslow.web")


class Exchange:
    """`scope`, `receive` and `send` of one request. `over` is called when nothing more of its answer comes.

    `common` are headers of every answer, as they are when it begins.
    """

    __slots__ = (
        "_body",
        "_chunked",
        "_common",
        "_expects_continue",
        "_flow",
        "_held",
        "_left_bytes",
        "_news",
        "_over",
        "_size_bytes",
        "_transport",
        "complete",
        "gone",
        "keep_alive",
        "more_body",
        "scope",
        "started",
    )

    def __init__(
        self,
        scope: Scope,
        transport: asyncio.Transport,
        flow: Flow,
        common: Headers,
        over: Callable[[], None],
        *,
        keep_alive: bool,
        expects_continue: bool,
    ) -> None:
        self.scope = scope
        self._transport = transport
        self._flow = flow
        self._common = common
        self._over = over
        self.keep_alive = keep_alive
        self._expects_continue = expects_continue
        self._body: list[bytes] = []
        self._size_bytes = 0
        self.more_body = True
        self._news = asyncio.Event()  # a piece of body, its end, the end of the answer or of the connection
        self.started = self.complete = self.gone = False
        self._chunked = False
        self._held = b""  # the head, until there is a body to go with it
        self._left_bytes = 0

    async def run(self, app: ASGIApp) -> None:
        """Let the application answer."""
        try:
            await app(self.scope, self.receive, self.send)
        except Exception as error:  # noqa: BLE001 - a fault of the application, which answers its own
            log.error("the application failed: %s", what_failed(error))
        finally:
            if not (self.complete or self.gone):
                self._transport.close()
                self._over()

    def take(self, piece: bytes) -> None:
        """A piece of the body came."""
        self._body.append(piece)
        self._size_bytes += len(piece)
        if self._size_bytes > HIGH_WATER_BYTES:
            self._flow.pause_reading()
        self._news.set()

    def end_body(self) -> None:
        """The body is complete."""
        self.more_body = False
        self._news.set()

    def leave(self) -> None:
        """The connection is lost."""
        self.gone = True
        self._news.set()

    async def receive(self) -> Message:
        """What came of the body, or, once the caller is gone or has his answer, that he has left."""
        if self._expects_continue and not self._transport.is_closing():
            self._transport.write(CONTINUE)
            self._expects_continue = False
        if not (self.gone or self.complete):
            self._flow.resume_reading()
            await self._news.wait()
            self._news.clear()
        if self.gone or self.complete:
            return {"type": "http.disconnect"}
        body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        self._body.clear()
        self._size_bytes = 0
        return {"type": "http.request", "body": body, "more_body": self.more_body}

    async def send(self, message: Message) -> None:
        """Write a part of the answer, once there is room; to a caller who is gone, nothing."""
        if self._flow.congested:
            await self._flow.drain()
        if self.gone:
            return
        match message["type"]:
            case "http.response.start" if not self.started:
                self._start(message["status"], message.get("headers", ()))
            case "http.response.body" if self.started and not self.complete:
                last = not message.get("more_body", False)
                self._write(message.get("body", b""), last=last)
                if last:
                    await self._end()
            case other:
                raise RuntimeError(f"{other} is not what comes next")

    def _start(self, status: int, headers: Iterable[tuple[bytes, bytes]]) -> None:
        self.started, self._expects_continue = True, False
        lines = list(self._common)
        length: int | None = None
        for name, value in headers:
            if name == b"content-length":
                length = int(value)
            elif name == b"connection":
                self.keep_alive = self.keep_alive and b"close" not in value.lower()
                continue  # it is for us, and told below
            elif name == b"transfer-encoding":
                raise RuntimeError("how an answer is framed is decided here")
            lines.append((name, value))
        if not self.keep_alive:
            lines.append((b"connection", b"close"))
        if length is None and status not in BODILESS and self.scope["method"] != "HEAD":
            self._chunked = True
            lines.append((b"transfer-encoding", b"chunked"))
        self._left_bytes = length or 0
        head = STATUS_LINES[status] + header_lines(lines) + b"\r\n"
        if self._chunked:
            self._transport.write(head)
        else:
            self._held = head

    def _write(self, body: bytes, *, last: bool) -> None:
        if self._chunked:
            self._write_chunk(body, last=last)
        elif self.scope["method"] == "HEAD":
            self._transport.write(self._held)
            self._held = b""
        else:
            self._left_bytes -= len(body)
            if self._left_bytes < 0 or (last and self._left_bytes):
                raise RuntimeError("an answer of another length than it declares")
            self._transport.writelines((self._held, body))
            self._held = b""

    def _write_chunk(self, piece: bytes, *, last: bool) -> None:
        framed = b"%x\r\n%b\r\n" % (len(piece), piece) if piece else b""
        if last:
            framed += b"0\r\n\r\n"
        self._transport.write(framed)

    async def _end(self) -> None:
        """The answer is over once its caller has taken it: until then it is held here, on his account."""
        if self._flow.congested:
            await self._flow.drain()
        self.complete = True
        self._news.set()
        if not self.keep_alive:
            self._transport.close()
        self._over()


def header_lines(headers: Headers) -> bytes:
    """As they are written. Raises RuntimeError for what would be more, or other, lines than these."""
    lines = b"".join([b"%b: %b\r\n" % header for header in headers])
    if lines.translate(None, _VISIBLE) != b"\r\n" * len(headers):
        raise RuntimeError("a header with a control character")
    return lines
