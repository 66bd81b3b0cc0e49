"""One connection, which may outlive the exchanges that use it one after the other.

It hands on what happens to whoever uses it now, and to nobody else: what arrives while nobody does
was not asked for, and ends the connection.

Bytes are received into one buffer that all connections share: it is emptied before the loop goes on.
So a connection of its own holds none, and its user decides how many come at once.
"""

import asyncio
import select
import socket
import ssl
from collections.abc import Callable
from typing import Final, Protocol, cast

RECEIVED_BYTES: Final = 64 * 1024  # at most so many at once
SEALED_BYTES: Final = 16 * 1024  # of TLS that wait to be opened: one record

# A peer that vanished without a word is noticed after half a minute to a minute, however long the
# answer may take. Names that a system does not have are left out.
_PROBES: Final = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3}


class User(Protocol):
    """Who uses a connection: the exchange that is under way on it."""

    def received(self, data: memoryview) -> None:
        """Some bytes came, which are there until this returns."""
        ...

    def ended(self) -> None:
        """The other side, and over TLS nobody else, said that nothing more will come."""
        ...

    def lost(self) -> None:
        """The connection is closed."""
        ...

    def wake(self) -> None:
        """More can be written."""
        ...


class Connection(asyncio.BufferedProtocol):
    """A protocol of asyncio. `user` is whose bytes arrive; `reused` whether it had one before."""

    def __init__(self, forget: Callable[["Connection"], None], buffer: memoryview) -> None:
        """`forget` is told when the connection is closed; `buffer` may be that of others too."""
        self._forget = forget
        self._shared = self._buffer = buffer
        self._poll = select.poll()
        self.transport: asyncio.Transport
        self.user: User | None = None
        self.reused = False
        self.closed = False
        self.congested = False  # more is written than the transport likes to hold
        self.expires_s = 0.0  # when it has been idle for too long, by the loop's clock

    def open(self) -> bool:
        """Whether it is open as far as the loop knows."""
        return not self.closed and not self.transport.is_closing()

    def quiet(self) -> bool:
        """Whether it is open and nothing came, a close included, that the loop has not seen yet."""
        return not (self.closed or self.transport.is_closing() or self._poll.poll(0))

    def abort(self) -> None:
        """Close at once; what is not sent yet is dropped."""
        self.transport.abort()

    def receive(self, at_once_bytes: int = RECEIVED_BYTES) -> None:
        """Receive at most so many bytes at once."""
        self._buffer = self._shared[:at_once_bytes]

    def pause(self) -> None:
        """Stop reading, so that the other side must wait."""
        if self.open():
            self.transport.pause_reading()

    def resume(self) -> None:
        """Read on."""
        if self.open():
            self.transport.resume_reading()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport, and watch over it."""
        self.transport = cast("asyncio.Transport", transport)
        sock: socket.socket = transport.get_extra_info("socket")
        self._poll.register(sock.fileno(), select.POLLIN)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in _PROBES.items():
            if option := getattr(socket, name, None):
                sock.setsockopt(socket.IPPROTO_TCP, option, value)
        if limit := getattr(transport, "set_read_buffer_limits", None):  # asyncio's TLS has it
            limit(high=SEALED_BYTES)

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where to put what comes next."""
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Hand on some bytes."""
        if self.user is None:
            self.abort()
        else:
            self.user.received(self._buffer[:nbytes])

    def eof_received(self) -> None:
        """Hand on the end of what the other side sends; the transport closes."""
        if self.user is not None and self._closed_by_peer():
            self.user.ended()

    def connection_lost(self, exc: Exception | None) -> None:
        """Hand on the end of the connection."""
        self.closed = True
        self._forget(self)
        if self.user is not None:
            self.user.lost()

    def pause_writing(self) -> None:
        """Note that the transport holds enough."""
        self.congested = True

    def resume_writing(self) -> None:
        """Hand on that the transport takes more."""
        self.congested = False
        if self.user is not None:
            self.user.wake()

    def _closed_by_peer(self) -> bool:
        """Whether the end is no forgery: over TLS, whether a closure alert came (RFC 9112, section 9.8).

        asyncio reports an end in either case.
        """
        tls: ssl.SSLObject | None = self.transport.get_extra_info("ssl_object")
        try:
            return tls is None or not tls.read(1)
        except ssl.SSLError:  # it wants to read on
            return False
