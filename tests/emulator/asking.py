"""An emulator called in process, with a clock that stands still until told otherwise."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import orjson

from macroslow.emulator import Emulator

KEY = "sk-emulator-0123456789abcdef"


@dataclass
class FakeClock:
    time_ns: int = 1_760_000_000 * 10**9

    def now_ns(self) -> int:
        return self.time_ns

    def monotonic_ns(self) -> int:
        return self.time_ns


@dataclass
class Reply:
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    complete: bool = False

    def json(self) -> Any:
        return orjson.loads(self.body)


async def call(
    app: Emulator,
    body: bytes,
    *,
    method: str = "POST",
    path: str = "/v1/chat/completions",
    key: str | None = KEY,
) -> Reply:
    """One request over ASGI, no sockets."""
    pending = [{"type": "http.request", "body": body, "more_body": False}]
    reply = Reply()

    async def receive() -> dict[str, Any]:
        return pending.pop() if pending else {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            reply.status = message["status"]
            pairs = [(name.decode(), value.decode()) for name, value in message["headers"]]
            reply.headers = dict(pairs)
            assert len(pairs) == len(reply.headers), "no header twice"
        else:
            reply.body += message["body"]
            reply.complete = not message["more_body"]

    headers = [(b"authorization", f"Bearer {key}".encode())] if key is not None else []
    await app({"type": "http", "method": method, "path": path, "headers": headers}, receive, send)
    return reply


def chat_body(content: object = "Hello", **members: object) -> bytes:
    return orjson.dumps(
        {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": content}], **members}
    )


Ask = Callable[..., Awaitable[Reply]]
