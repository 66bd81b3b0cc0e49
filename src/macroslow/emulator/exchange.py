"""One HTTP exchange over ASGI: reading the body with a limit, writing an answer once.

Source: ASGI specification, "HTTP & WebSocket ASGI Message Format" 2.5.
"""

from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from macroslow.emulator import refusals
from macroslow.emulator.members import refuse
from macroslow.ports import Clock

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Headers = Sequence[tuple[bytes, bytes]]

MAX_BODY_BYTES: Final = 16 * 1024 * 1024
"""More than the largest context as text; bounds what one request can hold in memory."""

JSON: Final = (b"content-type", b"application/json")


class HungUpError(Exception):
    """The client went away; there is nobody to answer."""


@dataclass(slots=True)
class Exchange:
    """What a handler needs of one request. `headers` are sent with whatever is answered."""

    scope: Scope
    receive: Receive
    send: Send
    clock: Clock
    headers: list[tuple[bytes, bytes]]
    status: int = 0
    began_ns: int = field(init=False)

    def __post_init__(self) -> None:
        self.began_ns = self.clock.monotonic_ns()

    @property
    def method(self) -> str:
        return str(self.scope["method"])

    @property
    def path(self) -> str:
        return str(self.scope["path"])

    def header(self, name: bytes) -> str:
        """The last header of this name; empty if there is none."""
        values = [value for key, value in self.scope["headers"] if key == name]
        return values[-1].decode("utf-8", "surrogateescape") if values else ""

    async def body(self) -> bytes:
        """The whole body. Raises RefusedError over MAX_BODY_BYTES, HungUpError if it does not arrive."""
        parts: list[bytes] = []
        size_bytes, more = 0, True
        while more:
            message = await self.receive()
            if message["type"] == "http.disconnect":
                raise HungUpError
            parts.append(message.get("body", b""))
            size_bytes += len(parts[-1])
            if size_bytes > MAX_BODY_BYTES:
                refuse(refusals.too_large(MAX_BODY_BYTES))
            more = message.get("more_body", False)
        return b"".join(parts)

    async def hung_up(self) -> None:
        """Return when the client goes away, after its body was read."""
        while (await self.receive())["type"] != "http.disconnect":
            pass

    async def start(self, status: int, headers: Headers) -> None:
        """Send the status and the headers, with the time taken so far."""
        self.status = status
        taken_ms = (self.clock.monotonic_ns() - self.began_ns) // 10**6
        everything = [*headers, *self.headers, (b"openai-processing-ms", str(taken_ms).encode())]
        await self.send({"type": "http.response.start", "status": status, "headers": everything})

    async def write(self, content: bytes, *, more: bool = True) -> None:
        """Send a part of the body; the last with `more` false."""
        await self.send({"type": "http.response.body", "body": content, "more_body": more})

    async def answer(self, status: int, content: bytes, headers: Headers = ()) -> None:
        """Send a whole JSON answer."""
        length = (b"content-length", str(len(content)).encode())
        await self.start(status, [JSON, length, *headers])
        await self.write(content, more=False)
