"""An emulator called in process, with a clock that stands still until told otherwise."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import orjson

from macroslow.emulator import Emulator

KEY = "sk-emulator-0123456789abcdef"
ADMIN_KEY = "sk-emulator-admin-0123456789abcdef"
VERSION = "2023-06-01"
CLAUDE = "claude-sonnet-4-5"
THINKER = "o3"
EMBEDDER = "text-embedding-3-small"


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
    body: bytes = b"",
    *,
    method: str = "POST",
    path: str = "/v1/chat/completions",
    key: str | None = KEY,
    headers: dict[str, str] | None = None,
    query: str = "",
) -> Reply:
    """One request over ASGI, no sockets."""
    pending = [{"type": "http.request", "body": body, "more_body": False}]
    reply = Reply()

    answered = asyncio.Event()

    async def receive() -> dict[str, Any]:
        if pending:
            return pending.pop()
        await answered.wait()  # the client stays until it has its answer
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            reply.status = message["status"]
            pairs = [(name.decode(), value.decode()) for name, value in message["headers"]]
            reply.headers = dict(pairs)
            assert len(pairs) == len(reply.headers), "no header twice"
        else:
            reply.body += message["body"]
            reply.complete = not message["more_body"]
            if reply.complete:
                answered.set()

    given = {"authorization": f"Bearer {key}"} if key is not None and headers is None else headers or {}
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": query.encode(),
        "headers": [(name.encode(), value.encode()) for name, value in given.items()],
    }
    await app(scope, receive, send)
    return reply


async def get(app: Emulator, path: str, query: str = "", *, key: str = ADMIN_KEY) -> Reply:
    """A report for an administrator, in the dialect of its path."""
    headers = {"x-api-key": key, "anthropic-version": VERSION} if "organizations" in path else None
    return await call(app, method="GET", path=path, query=query, key=key, headers=headers)


async def message(app: Emulator, content: object = "Hello", **members: object) -> Reply:
    """A message to a model of Anthropic's."""
    return await call(
        app,
        message_body(content, **members),
        path="/v1/messages",
        headers={"x-api-key": KEY, "anthropic-version": VERSION},
    )


def message_body(content: object = "Hello", **members: object) -> bytes:
    messages = [{"role": "user", "content": content}]
    return orjson.dumps({"model": CLAUDE, "max_tokens": 100, "messages": messages, **members})


def response_body(content: object = "Hello", **members: object) -> bytes:
    return orjson.dumps({"model": "gpt-4o-mini", "input": content, **members})


def events_of(body: bytes) -> list[dict[str, Any]]:
    """The data of the events of a stream that are JSON, in order."""
    lines = [line.removeprefix(b"data: ") for line in body.splitlines() if line.startswith(b"data: ")]
    return [orjson.loads(line) for line in lines if line != b"[DONE]"]


def chat_body(content: object = "Hello", **members: object) -> bytes:
    return orjson.dumps(
        {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": content}], **members}
    )


Ask = Callable[..., Awaitable[Reply]]
