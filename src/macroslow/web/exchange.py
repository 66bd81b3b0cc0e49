"""One request on a connection and its answer, as an ASGI application meets them.

The head of an answer whose length is declared goes out with its body, in one write; without a length
the answer is sent in chunks (RFC 9112 section 7.1), each as it comes. An answer that its application
leaves incomplete is cut off, so that nobody takes it for a whole one.

Source: ASGI 3.0, "HTTP & WebSocket ASGI Message Format"; RFC 9112 sections 4, 5, 6.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from http import HTTPStatus
from typing import Final

from macroslow.web.flow import Flow
from macroslow.web.messages import ASGIApp, Headers, Message, Scope
from macroslow.web.visit import BODILESS, SECURITY_HEADERS, what_failed

HIGH_WATER_BYTES: Final = 64 * 1024  # of a body that nobody reads: then the caller must wait

_PHRASES: Final = {status.value: status.phrase for status in HTTPStatus}
STATUS_LINES: Final = {
    status: f"HTTP/1.1 {status} {_PHRASES.get(status, '')}\r\n".encode("ascii") for status in range(200, 600)
}
CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_FRAMING: Final = frozenset({b"content-length", b"connection", b"transfer-encoding"})
_VISIBLE: Final = frozenset((0x09, *range(0x20, 0x7F), *range(0x80, 0x100)))
_MARKED: Final = bytes(byte in _VISIBLE for byte in range(256))  # 0 for what is no part of a header

log: Final = logging.getLogger("macroslow.web")


class Exchange:
    """`scope`, `receive` and `send` of one request. `over` is called when nothing more of its answer comes.

    `common` are lines of every answer, as they are when it begins.
    """

    __slots__ = (
        "_body",
        "_chunked",
        "_common",
        "_expects_continue",
        "_flow",
        "_fresh",
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
        common: Sequence[bytes],
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
        self._fresh = False  # a piece of body, its end, the end of the answer or of the connection is news
        self._news: asyncio.Event | None = None  # where somebody has waited for news: hardly ever
        self.started = self.complete = self.gone = False
        self._chunked = False
        self._held = b""  # the head, until there is a body to go with it
        self._left_bytes = 0

    async def run(self, app: ASGIApp, tasks: "set[asyncio.Task[None]]") -> None:
        """Let the application answer, in a task of its own, which is one of `tasks` until it has."""
        try:
            await app(self.scope, self.receive, self.send)
        except Exception as error:  # noqa: BLE001 - a fault of the application, which answers its own
            log.error("the application failed: %s", what_failed(error))
        finally:
            if not (self.complete or self.gone):
                self._transport.close()
                self._over()
            tasks -= {asyncio.current_task()}

    def take(self, piece: bytes) -> None:
        """A piece of the body came."""
        self._body.append(piece)
        self._size_bytes += len(piece)
        if self._size_bytes > HIGH_WATER_BYTES:
            self._flow.pause_reading()
        self._tell()

    def end_body(self) -> None:
        """The body is complete."""
        self.more_body = False
        self._tell()

    def leave(self) -> None:
        """The connection is lost."""
        self.gone = True
        self._tell()

    def _tell(self) -> None:
        self._fresh = True
        if self._news is not None:
            self._news.set()

    async def receive(self) -> Message:
        """What came of the body, or, once the caller is gone or has his answer, that he has left."""
        if self._expects_continue and not self._transport.is_closing():
            self._transport.write(CONTINUE)
            self._expects_continue = False
        if not (self.gone or self.complete):
            self._flow.resume_reading()
            if not self._fresh:
                await self._wait()
            self._fresh = False
        if self.gone or self.complete:
            return {"type": "http.disconnect"}
        pieces, self._body, self._size_bytes = self._body, [], 0
        body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        return {"type": "http.request", "body": body, "more_body": self.more_body}

    async def _wait(self) -> None:
        news = self._news = self._news or asyncio.Event()
        news.clear()  # what it says was heard without it
        await news.wait()

    async def send(self, message: Message) -> None:
        """Write a part of the answer, once there is room; to a caller who is gone, nothing.

        The answer is over once its caller has taken it: until then it is held here, on his account.
        """
        if self._flow.congested:
            await self._flow.drain()
        if self.gone:
            return
        match message["type"]:
            case "http.response.start" if not self.started:
                self._start(message["status"], message.get("headers", ()))
            case "http.response.body" if self.started and not self.complete:
                last = not message.get("more_body", False)
                self._write(message.get("body", b""), last)
                if last:
                    if self._flow.congested:
                        await self._flow.drain()
                    self._end()
            case other:
                raise RuntimeError(f"{other} is not what comes next")

    def _start(self, status: int, headers: Iterable[tuple[bytes, bytes]]) -> None:
        self.started, self._expects_continue = True, False
        lines, rest = [STATUS_LINES[status], *self._common], list(headers)
        if rest[: len(_PROTECTING)] == _PROTECTING:  # as gates begin nearly every answer
            lines.append(_PROTECTING_LINES)
            del rest[: len(_PROTECTING)]
        own: list[tuple[bytes, bytes]] = []
        length: int | None = None
        for header in rest:
            name, value = header
            if name in _FRAMING:
                if name == b"transfer-encoding":
                    raise RuntimeError("how an answer is framed is decided here")
                if name == b"connection":
                    self.keep_alive = self.keep_alive and b"close" not in value.lower()
                    continue  # it is for us, and told below
                length = int(value)
            own.append(header)
        lines.append(header_lines(own))
        if not self.keep_alive:
            lines.append(b"connection: close\r\n")
        if length is None and status not in BODILESS and self.scope["method"] != "HEAD":
            self._chunked = True
            lines.append(b"transfer-encoding: chunked\r\n")
        self._left_bytes = length or 0
        lines.append(b"\r\n")
        self._held = b"".join(lines)
        if self._chunked:
            self._transport.write(self._held)

    def _write(self, body: bytes, last: bool) -> None:
        if self._chunked:
            framed = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
            self._transport.write(framed + b"0\r\n\r\n" if last else framed)
        elif self.scope["method"] == "HEAD":
            self._transport.write(self._held)
            self._held = b""
        else:
            self._left_bytes -= len(body)
            if self._left_bytes < 0 or (last and self._left_bytes):
                raise RuntimeError("an answer of another length than it declares")
            self._transport.writelines((self._held, body))
            self._held = b""

    def _end(self) -> None:
        self.complete = True
        self._tell()
        if not self.keep_alive:
            self._transport.close()
        self._over()


def header_lines(headers: Headers) -> bytes:
    """As they are written. Raises RuntimeError for what would be more, or other, lines than these."""
    lines = b"\r\n".join([*map(b": ".join, headers), b""])
    if lines.translate(_MARKED).count(0) != 2 * len(headers):
        raise RuntimeError("a header with a control character")
    return lines


_PROTECTING: Final = [*SECURITY_HEADERS]
_PROTECTING_LINES: Final = header_lines(_PROTECTING)
"""Written and checked once, since they are most of an answer's head."""
