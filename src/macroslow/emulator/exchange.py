"""One HTTP exchange over ASGI: reading the body with a limit, writing an answer once.

Source: ASGI specification, "HTTP & WebSocket ASGI Message Format" 2.5.
"""

from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any, Final
from urllib.parse import parse_qsl

from macroslow.emulator.clock import ProviderClock
from macroslow.emulator.work import Headers, ServedAPI, refuse
from macroslow.ports import NS_PER_MS, NS_PER_S

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

MAX_BODY_BYTES: Final = 32 * 1024 * 1024
"""What Anthropic takes; more than the largest context as text."""

JSON: Final = (b"content-type", b"application/json")
ABORT: Final = "macroslow.abort"
"""The extension of the scope by which the server lets a connection be closed without a byte."""


class HungUpError(Exception):
    """The client went away, or was sent away; there is nobody to answer."""


@dataclass(slots=True)
class Exchange:
    """What a handler needs of one request. `headers` are sent with whatever is answered.

    `key` is the digest of the API key, once it was accepted.
    """

    scope: Scope
    receive: Receive
    send: Send
    clock: ProviderClock
    dialect: ServedAPI
    request_id: str
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    key: str = ""
    status: int = 0
    began_ns: int = field(init=False)

    def __post_init__(self) -> None:
        self.began_ns = self.clock.now_ns()

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

    def query(self) -> list[tuple[str, str]]:
        """The pairs of the query, in their order."""
        return parse_qsl(self.scope.get("query_string", b"").decode("ascii", "replace"), max_num_fields=1_000)

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
                refuse(self.dialect.too_large(MAX_BODY_BYTES))
            more = message.get("more_body", False)
        return b"".join(parts)

    async def hung_up(self) -> None:
        """Return when the client goes away, after its body was read."""
        while (await self.receive())["type"] != "http.disconnect":
            pass

    async def abort(self) -> None:
        """Close the connection, where the server can, and return when it is closed."""
        abort = self.scope.get("extensions", {}).get(ABORT)
        if abort is not None:
            abort["connection"]()
        await self.hung_up()

    async def start(self, status: int, headers: Headers) -> None:
        """Send the status and the headers, with the provider's date and the time taken so far."""
        self.status = status
        now_ns = self.clock.now_ns()
        dated = (b"date", formatdate(now_ns // NS_PER_S, usegmt=True).encode())
        taken = self.dialect.taken((now_ns - self.began_ns) // NS_PER_MS)
        everything = [*headers, *self.headers, dated, *taken]
        await self.send({"type": "http.response.start", "status": status, "headers": everything})

    async def write(self, content: bytes, *, more: bool = True) -> None:
        """Send a part of the body; the last with `more` false."""
        await self.send({"type": "http.response.body", "body": content, "more_body": more})

    async def answer(self, status: int, content: bytes, headers: Headers = ()) -> None:
        """Send a whole JSON answer."""
        length = (b"content-length", str(len(content)).encode())
        await self.start(status, [JSON, length, *headers])
        await self.write(content, more=False)
