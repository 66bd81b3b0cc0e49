"""From bytes to requests: llhttp's parser (httptools) within bounds. Everything may come from an adversary.

A head has a size, a target is a path (RFC 9112 section 3.2.1), trailers are dropped. Bodies are bounded by
the application, which knows their route.
"""

from collections.abc import Callable
from typing import Any, Final, NoReturn
from urllib.parse import unquote

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser

from macroslow.errors import BadRequestError, TooLargeError
from macroslow.web.exchange import Exchange
from macroslow.web.faults import Fault
from macroslow.web.framing import MAX_LENGTH_DIGITS
from macroslow.web.messages import Scope

MAX_TARGET_BYTES: Final = 8 * 1024
MAX_HEADERS: Final = 100
MAX_HEAD_BYTES: Final = 64 * 1024  # target and headers, or anything else between two pieces of body
_VERSIONS: Final = frozenset({"1.0", "1.1"})
_NOTED: Final = frozenset({b"content-length", b"expect"})
_OF_A_HEAD: Final = dict.fromkeys(
    ("http_version", "method", "path", "raw_path", "query_string", "headers", "state")
)

Begin = Callable[[Scope, bool, bool], Exchange]
"""Begins the request of a head, and returns who takes its body. The connection may serve another request
after it; its caller waits for leave to send the body (RFC 9110 section 10.1.1)."""


def _bad(detail: str, status: int = 400) -> Fault:
    return Fault(status, BadRequestError(detail, step="connection"))


def _large(detail: str, status: int, limit_bytes: int) -> Fault:
    return Fault(status, TooLargeError(detail, limit_bytes=limit_bytes, step="connection"))


_NOT_HTTP: Final = _bad("this is not HTTP/1.1")
_OLD: Final = _bad("HTTP/1.1 is spoken here", 505)
_NO_PATH: Final = _bad("the request's target is not a path")
_UPGRADE: Final = _bad("the connection is not upgraded to anything")
_LONG_LENGTH: Final = _bad("content-length is not a number")
_LONG_TARGET: Final = _large("the request's target is too long", 414, MAX_TARGET_BYTES)
_LARGE_HEADERS: Final = _large("too many or too large headers", 431, MAX_HEAD_BYTES)
_LARGE_HEAD: Final = _large("the request's head is too large", 431, MAX_HEAD_BYTES)


class _Stop(Exception):  # noqa: N818 - ends the parser: what is wrong is noted
    """What came is not a request that is taken here."""


class RequestReader:
    """The requests of one connection, one after the other. `scope` is what their ASGI scopes have in common.

    `newest` is the last whose head came; `in_head` says that another one's has begun.
    """

    def __init__(self, scope: Scope, begin: Begin) -> None:
        self._scope = {**scope, **_OF_A_HEAD}  # what a request's begins as
        self._target: bytes | None = None  # that these paths are of
        self._begin = begin
        self._parser: Any = HttpRequestParser(self)
        # What follows a request with `connection: close` is not read, and no reason to refuse that one.
        self._parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self.newest: Exchange | None = None
        self.in_head = False
        self._url = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._head_bytes = 0
        self._expects_continue = False
        self._length = b"0"  # what the newest declares of its body, and how much of that came
        self._body_bytes = 0
        self._unproductive_bytes = 0
        self._fault = _NOT_HTTP

    def feed(self, data: bytes) -> Fault | None:
        """Parse a piece. A fault if it is wrong, or long and still says nothing: feed nothing after that."""
        self._unproductive_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade):
            return self._fault
        return _LARGE_HEAD if self._unproductive_bytes > MAX_HEAD_BYTES else None

    def close(self) -> None:
        """Let go of everybody who holds on to this."""
        self._parser = self.newest = None
        self._begin = _nobody

    @property
    def body_left_bytes(self) -> int:
        """In which no other request can begin."""
        return int(self._length) - self._body_bytes

    # The parser

    def on_message_begin(self) -> None:
        """A head begins."""
        self.in_head = True
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
            self._refuse(_LONG_TARGET)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Gather a header; a trailer is dropped, since everything is decided by then."""
        if not self.in_head:
            return
        self._head_bytes += len(name) + len(value)
        if len(self._headers) >= MAX_HEADERS or self._head_bytes > MAX_HEAD_BYTES:
            self._refuse(_LARGE_HEADERS)
        header = name, value = name.lower(), value.strip(b" \t")  # RFC 9112 section 5.1
        self._headers.append(header)
        if name in _NOTED:
            self._note(name, value)

    def _note(self, name: bytes, value: bytes) -> None:
        if name == b"expect":
            self._expects_continue = self._expects_continue or value.lower() == b"100-continue"
        elif len(value) > MAX_LENGTH_DIGITS:
            self._refuse(_LONG_LENGTH)
        else:
            self._length = value

    def on_headers_complete(self) -> None:
        """The head is complete: begin the request if it is one."""
        self.in_head = False
        self._unproductive_bytes = 0
        if self._url != self._target:
            self._aim(self._url)
        parser = self._parser
        version: str = parser.get_http_version()
        if version not in _VERSIONS:
            self._refuse(_OLD)
        if parser.should_upgrade():
            self._refuse(_UPGRADE)
        scope = self._scope.copy()
        scope["http_version"] = version
        scope["method"] = parser.get_method().decode("ascii")
        scope["headers"] = self._headers
        scope["state"] = {}
        modern = version != "1.0"
        self.newest = self._begin(
            scope, modern and parser.should_keep_alive(), modern and self._expects_continue
        )

    def _aim(self, url: bytes) -> None:
        """Take a target apart. The next requests of a connection mostly have the same one."""
        if not url.startswith(b"/") or not url.isascii():
            self._refuse(_NO_PATH)
        raw_path, _, query = url.partition(b"?")
        path = raw_path.decode("ascii")
        self._scope["path"] = unquote(path) if "%" in path else path
        self._scope["raw_path"] = raw_path
        self._scope["query_string"] = query
        self._target = url

    def on_body(self, body: bytes) -> None:
        """A piece of body."""
        self._unproductive_bytes = 0
        self._body_bytes += len(body)
        if self.newest is not None and not self.newest.complete:
            self.newest.take(body)

    def on_message_complete(self) -> None:
        """The body is complete."""
        self._unproductive_bytes = 0
        if self.newest is not None and not self.newest.complete:
            self.newest.end_body()

    def _refuse(self, fault: Fault) -> NoReturn:
        self._fault = fault
        raise _Stop


def _nobody(_scope: Scope, _keep_alive: bool, _expects_continue: bool) -> NoReturn:
    raise RuntimeError("a request was read on a connection that is lost")
