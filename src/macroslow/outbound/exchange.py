"""One exchange: a request that is sent, and its answer as it comes. Parsing is llhttp's (httptools).

What arrives may come from an adversary. The head is bounded in size and number, and so is whatever
else comes without a byte of body. A body that is read in pieces comes in small ones, and no more of
it is received while HIGH_WATER_BYTES wait to be taken: a reader that stands still holds little. An
answer is whole if its length or its last chunk says so, or if the other side says that it ends; a
connection that is merely lost has cut it off. Nothing of one exchange can get into the next: each has
its own parser, and its connection is kept only if the answer ended where the bytes did.

Source: RFC 9112, sections 6 (body), 7.1 (chunks), 8 (incomplete), 9.3 (persistence).
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from httptools import HttpParserError, HttpResponseParser

from macroslow.outbound.connection import Connection

MAX_HEAD_BYTES: Final = 64 * 1024  # also of trailers and chunk extensions between two pieces of body
MAX_HEADERS: Final = 200
HIGH_WATER_BYTES: Final = 4 * 1024
AT_ONCE_BYTES: Final = 8 * 1024  # of a body that is read in pieces: so much can come above the mark
PIECE_BYTES: Final = 256 * 1024  # a larger request is sent in pieces, as fast as they are taken

_FINAL: Final = 200  # statuses below are interim: the answer that counts is still to come
_REFUSAL: Final = 300
_SWITCHING: Final = 101


class BrokenOffError(Exception):
    """The exchange ended early after something was sent. Its text is for the log and quotes nothing."""


class TooSlowError(BrokenOffError):
    """We waited no longer: the deadline passed, or nothing came for too long."""


class StaleConnectionError(BrokenOffError):
    """A connection that had been kept was closed before a byte of the answer came.

    Very likely the request crossed the other side's close and was not read; nobody can know.
    """


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds to wait: for a connection, for an answer's head, and between two pieces of its body."""

    connect_s: float = 10.0
    head_s: float = 600.0  # a plain answer comes at once, after all its tokens were made
    idle_s: float = 120.0


class Owner(Protocol):
    """Who keeps the connections and the time."""

    def watch(self, at_s: float) -> None:
        """`check` the exchanges at this moment of the loop's clock, or before."""
        ...

    def release(self, exchange: "Exchange", connection: Connection, *, reusable: bool) -> None:
        """The exchange has ended."""
        ...


class Exchange:
    """What is known of an answer. One caller at a time; whoever has one must `end` it.

    `headers` have lower-case names; repeated ones are joined by commas (RFC 9110, section 5.3).
    """

    __slots__ = (
        "_broken",
        "_connection",
        "_deadline_s",
        "_dry_bytes",
        "_ended",
        "_fields",
        "_headed",
        "_heard_s",
        "_high_water_bytes",
        "_late",
        "_loop",
        "_owner",
        "_parser",
        "_patience",
        "_paused",
        "_persistent",
        "_piecewise",
        "_stale",
        "_until_end",
        "_waiter",
        "complete",
        "headers",
        "status",
        "waiting",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        connection: Connection,
        owner: Owner,
        patience: Patience,
        deadline_s: float,
    ) -> None:
        """`deadline_s` is a moment of the loop's clock. Its owner watches over it from now on."""
        self.status = 0
        self.headers: Mapping[bytes, bytes] = {}
        self.waiting: bytes | bytearray = b""  # body that nobody has taken yet
        self.complete = False  # all of the body has come
        self._loop = loop
        self._connection = connection
        self._owner = owner
        self._patience = patience
        self._deadline_s = deadline_s
        self._parser = HttpResponseParser(self)
        self._fields: list[tuple[bytes, bytes]] = []
        self._heard_s = loop.time()
        self._waiter: asyncio.Future[None] | None = None
        self._dry_bytes = 0  # since the last piece of body
        self._high_water_bytes = HIGH_WATER_BYTES
        self._headed = False  # the head that counts is here
        self._until_end = False  # the body ends where the connection does
        self._persistent = False  # the connection can serve another exchange
        self._piecewise = False  # the caller takes the body as it comes
        self._paused = self._ended = self._stale = self._late = False
        self._broken = ""
        connection.user = self

    # What the caller does

    async def send(self, head: bytes, body: bytes) -> None:
        """Send a request and wait for the head of its answer. Raises BrokenOffError."""
        if len(body) <= PIECE_BYTES:
            self._connection.transport.write(head + body)
        else:
            await self._send_pieces(head, memoryview(body))
        while not self._headed:
            await self.more()

    async def read(self) -> bytes:
        """What came of the body since the last time, b"" at its end. Raises BrokenOffError."""
        self.read_in_pieces()
        while not self.waiting and not self.complete:
            await self.more()
        return self.take()

    async def body(self, limit_bytes: int) -> bytes | None:
        """The whole body, or None if it is longer. Raises BrokenOffError."""
        self._high_water_bytes = limit_bytes
        if self._paused:
            self._resume()
        while not self.complete and len(self.waiting) <= limit_bytes:
            await self.more()
        return bytes(self.waiting) if len(self.waiting) <= limit_bytes else None

    def read_in_pieces(self) -> None:
        """The body is wanted as it comes: from now on in small pieces."""
        if not self._piecewise:
            self._piecewise = True
            self._connection.receive(AT_ONCE_BYTES)

    def take(self) -> bytes:
        """What is `waiting`, which may be nothing."""
        taken, self.waiting = self.waiting, b""
        if self._paused:
            self._resume()
        return bytes(taken)

    def more(self) -> asyncio.Future[None]:
        """To be awaited: something has happened. Raises BrokenOffError, here and not when it is awaited."""
        if self._broken:
            raise self._error()
        self._waiter = waiter = self._loop.create_future()
        return waiter

    def end(self) -> None:
        """The exchange is over; unless the answer ended well, so is its connection."""
        if self._ended:
            return
        self._ended = True
        if not self.complete:
            self._break("the exchange is over")
        connection = self._connection
        connection.user = None
        del self._parser  # it knows us, and we it
        if self._paused:
            self._paused = False
            connection.resume()
        if self._piecewise:
            connection.receive()
        reusable = self._persistent and connection.open() and not connection.congested
        self._owner.release(self, connection, reusable=reusable)

    def check(self, now_s: float) -> float:
        """Break off if the time is up. When to check again, by the loop's clock.

        No later than the earliest moment at which a head that comes after this one could be followed by
        too long a silence: so nobody has to be told when it comes.
        """
        due_s = self._due_s()
        if now_s >= due_s:
            self._late = not self._broken
            self._fail("the time is up" if now_s >= self._deadline_s else "silence")
        return due_s if self._headed or self._broken else min(due_s, now_s + self._patience.idle_s)

    async def _send_pieces(self, head: bytes, body: memoryview) -> None:
        """Send a large request. An early refusal ends it (RFC 9112, section 9.5)."""
        connection = self._connection
        connection.transport.write(head)
        for at in range(0, len(body), PIECE_BYTES):
            if self._headed:
                self._persistent = False
                if self.status < _REFUSAL:
                    raise BrokenOffError("it answered before it was asked")
                return
            if self._broken:
                raise self._error()
            connection.transport.write(body[at : at + PIECE_BYTES])
            while connection.congested and not self._headed:
                await self.more()
            self._heard_s = self._loop.time()  # it took a piece: that is a sign of life

    def _resume(self) -> None:
        """Receive again; the silence until now was our own."""
        self._paused = False
        self._heard_s = self._loop.time()
        self._owner.watch(self._due_s())
        self._connection.resume()

    def _error(self) -> BrokenOffError:
        """Why it has broken off."""
        kind = StaleConnectionError if self._stale else TooSlowError if self._late else BrokenOffError
        return kind(self._broken)

    # What the connection does

    def received(self, data: memoryview) -> None:
        """Read some bytes of the answer."""
        self._heard_s = self._loop.time()
        self._dry_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except HttpParserError as error:
            self._fail(str(error.__context__ or error))
            return
        if self._dry_bytes > MAX_HEAD_BYTES:
            self._fail("too much that is no body")
        elif len(self.waiting) > self._high_water_bytes and not self._paused and not self.complete:
            self._paused = True
            self._connection.pause()
        waiter = self._waiter  # as in `wake`: this is done for every piece of every stream
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def ended(self) -> None:
        """End a body that nothing else ends."""
        if self._headed and self._until_end and not self._broken:
            self.complete = True
            self._persistent = False
            self.wake()

    def lost(self) -> None:
        """Break off, unless all is here."""
        if not self._broken and not self._headed and not self._dry_bytes:
            self._stale = self._connection.reused
        self._fail("the connection was closed")

    def wake(self) -> None:
        """Let the caller look again."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # What the parser does; raising ends it

    def on_message_begin(self) -> None:
        """An answer begins, interim or not; nothing may follow the one that counts."""
        if self.complete:
            self._persistent = False
            raise ValueError("more than one answer")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Gather a header. Nobody looks at trailers: everything is decided by then."""
        self._fields.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """The head is complete, unless it is an interim one."""
        status = self._parser.get_status_code()
        if status == _SWITCHING:
            raise ValueError("another protocol, which was not asked for")
        if status >= _FINAL:
            fields = self._fields
            headers = dict(fields)
            if not len(headers) == len(fields) <= MAX_HEADERS or self._dry_bytes > MAX_HEAD_BYTES:
                headers = self._fitting(headers)
            self.headers = headers
            coding = headers.get(b"transfer-encoding")
            if coding is not None and coding.lower() != b"chunked":
                raise ValueError("a transfer coding that was not asked for")
            self.status = status
            self._until_end = coding is None and b"content-length" not in headers
            self._headed = True
        self._fields = []

    def on_body(self, body: bytes) -> None:
        """Gather a piece of body. Mostly it is the only one that waits, and need not be copied."""
        self._dry_bytes = 0
        if not self.waiting:
            self.waiting = body
            return
        if not isinstance(self.waiting, bytearray):
            self.waiting = bytearray(self.waiting)
        self.waiting += body  # in place: there may be many

    def on_message_complete(self) -> None:
        """The answer is complete, unless it is an interim one."""
        if self._headed:
            self.complete = True
            self._persistent = self._parser.should_keep_alive()

    def _fitting(self, headers: dict[bytes, bytes]) -> dict[bytes, bytes]:
        """The headers with all that was said under each name, if they are neither too many nor too large."""
        fields = self._fields
        if len(fields) > MAX_HEADERS:
            raise ValueError("too many headers")
        # However much has come: a piece of body may be among it.
        if sum(len(n) + len(v) for n, v in fields) > MAX_HEAD_BYTES:
            raise ValueError("too large headers")
        return {name: b", ".join(v for n, v in fields if n == name) for name in headers}

    # What time does

    def _due_s(self) -> float:
        """When it will have taken too long if nothing more comes."""
        if self.complete or self._broken:
            return float("inf")
        if self._paused:  # our own caller is slow
            return self._deadline_s
        limit_s = self._patience.idle_s if self._headed else self._patience.head_s
        return min(self._deadline_s, self._heard_s + limit_s)

    def _fail(self, reason: str) -> None:
        """What came before stays; there will be no more of it."""
        self._persistent = False
        self._break(reason)
        self._connection.abort()

    def _break(self, reason: str) -> None:
        if not self.complete:
            self._broken = self._broken or reason
        self.wake()
