"""MCP on this process's stdin and stdout, carried to a gateway over its control socket.

Lines of JSON-RPC go both ways as they are; the gateway checks and answers them. A relay outlives the gateway
at its other end: what was under way is answered with an error, since nobody knows whether it was done, and
the next gateway is greeted as the last one was.

Threads, and no event loop: stdin and stdout may be of any kind, and neither may be made non-blocking, since
others have them too.

Source: MCP 2026-07-28, "stdio".
"""

import os
import socket
import threading
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

import orjson

CHUNK_BYTES: Final = 64 * 1024
MAX_LINE_BYTES: Final = 5 * 1024 * 1024  # longer than any message: what comes after it of a line is dropped
MAX_WAITING: Final = 64  # lines that were read and not yet sent
GREETING: Final = ("initialize", "notifications/initialized")
"""What a client of the handshake versions says first."""
GONE: Final = "the gateway ended before it answered; what it did is in its log"
_INTERNAL_ERROR: Final = -32603


class ClientGoneError(Exception):
    """Nobody reads stdout any more."""


class Relay:
    """The client's end. `read` runs in a thread of its own, once; `carry` for one gateway after the other."""

    def __init__(self, stdin: int, stdout: int) -> None:
        self._stdin = stdin
        self._stdout = stdout
        self._changed = threading.Condition()
        self._waiting: deque[bytes] = deque()
        self._ended = False
        self._gateway: socket.socket | None = None
        self._asked: dict[object, None] = {}
        self._greeting: dict[str, bytes] = {}
        self._unheard: set[object] = set()

    def read(self) -> None:
        """Read stdin to its end."""
        line = bytearray()
        while chunk := os.read(self._stdin, CHUNK_BYTES):
            first, *others = chunk.split(b"\n")
            line += first[: MAX_LINE_BYTES - len(line)]
            for begun in others:
                self._take(bytes(line))
                line = bytearray(begun)
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _take(self, line: bytes) -> None:
        if line.strip():
            with self._changed:
                self._changed.wait_for(lambda: len(self._waiting) < MAX_WAITING)
                self._waiting.append(line + b"\n")
                self._changed.notify_all()

    @property
    def is_done(self) -> bool:
        """Whether all that comes from the client is carried."""
        with self._changed:
            return self._ended and not self._waiting

    def end(self) -> None:
        """Take no more from the client: what is under way may be answered."""
        with self._changed:
            self._waiting.clear()
            self._ended = True
            self._changed.notify_all()

    def cut(self) -> None:
        """Hear no more answers either."""
        self.end()
        with self._changed, suppress(OSError):
            if self._gateway is not None:
                self._gateway.shutdown(socket.SHUT_RDWR)

    def carry(self, gateway: socket.socket) -> None:
        """Carry lines until the gateway hangs up, and answer for it what it did not.

        ClientGoneError where the client reads no answers any more.
        """
        self._gateway = gateway
        for line in self._greeted():
            gateway.sendall(line)
        sending = threading.Thread(target=self._send, args=(gateway,), daemon=True)
        sending.start()
        try:
            with gateway.makefile("rb") as answers:
                for line in answers:
                    self._hear(line)
        except ConnectionError:
            pass
        finally:
            with self._changed:
                self._gateway = None
                self._changed.notify_all()
            sending.join()
        self._break_off()

    def _break_off(self) -> None:
        for asked in list(self._asked):
            error = {"code": _INTERNAL_ERROR, "message": GONE}
            self._say(orjson.dumps({"jsonrpc": "2.0", "id": asked, "error": error}) + b"\n")
        self._asked.clear()

    def _send(self, gateway: socket.socket) -> None:
        try:
            while (line := self._next(gateway)) is not None:
                self._note(line)
                gateway.sendall(line)
                with self._changed:
                    if self._waiting:
                        self._waiting.popleft()
                    self._changed.notify_all()
            if self._ended:
                gateway.shutdown(socket.SHUT_WR)
        except OSError:  # it went away: whoever hears its answers sees that too
            if self._waiting:
                self._asked.pop(_key(_object(self._waiting[0]).get("id")), None)  # the next gateway is asked

    def _next(self, gateway: socket.socket) -> bytes | None:
        """The next line for this gateway, which stays where it is until it is sent; None: there is none."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._ended or self._gateway is not gateway)
            return self._waiting[0] if self._waiting and self._gateway is gateway else None

    def _note(self, line: bytes) -> None:
        match _object(line):
            case {"method": str(method), **message} if method in GREETING:
                self._greeting[method] = line
                if "id" in message:
                    self._asked[_key(message["id"])] = None
            case {"method": "notifications/cancelled", "params": {"requestId": asked}}:
                self._asked.pop(_key(asked), None)
            case {"method": str(), "id": asked}:
                self._asked[_key(asked)] = None

    def _hear(self, line: bytes) -> None:
        message = _object(line)
        if "id" in message and "method" not in message:
            answered = _key(message["id"])
            if answered in self._unheard:
                self._unheard.discard(answered)  # of a greeting that the client did not send this time
                return
            self._asked.pop(answered, None)
        self._say(line)

    def _greeted(self) -> list[bytes]:
        """What the last gateway was greeted with, for the next."""
        greeting = [self._greeting[one] for one in GREETING if one in self._greeting]
        self._unheard = {_key(found["id"]) for found in map(_object, greeting) if "id" in found}
        return greeting

    def _say(self, line: bytes) -> None:
        left = memoryview(line)
        try:
            while left:
                left = left[os.write(self._stdout, left) :]
        except OSError:
            raise ClientGoneError from None


def _object(line: bytes) -> Mapping[str, Any]:
    """The message in a line; {} where there is none: the gateway says what is wrong with it."""
    try:
        found = orjson.loads(line)
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def _key(given: object) -> object:
    """An id as a key of a dictionary."""
    return given if isinstance(given, str | int) else None
