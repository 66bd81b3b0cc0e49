"""Servers that behave until a tool is called, and then as they are told to, byte for byte."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import orjson
from tests.outbound.raw import Peer, Server, serving

from macroslow.adapters.mcp_http import Endpoint, MCPOverHTTP

Act = Callable[[Peer, int], Awaitable[None]]

HELLO = {
    "supportedVersions": ["2026-07-28"],
    "capabilities": {"tools": {}},
    "resultType": "complete",
    "_meta": {"io.modelcontextprotocol/serverInfo": {"name": "hostile", "version": "1"}},
}
TOOL = {"name": "x", "inputSchema": {"type": "object"}}
DONE = {"content": [{"type": "text", "text": "done"}], "resultType": "complete"}
STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


def json_answer(message: object, *more: bytes, status: bytes = b"200 OK") -> bytes:
    """A whole answer."""
    body = message if isinstance(message, bytes) else orjson.dumps(message)
    head = [
        b"HTTP/1.1 " + status,
        b"Content-Type: application/json",
        b"Content-Length: %d" % len(body),
        *more,
    ]
    return b"\r\n".join(head) + b"\r\n\r\n" + body


def chunk(data: bytes) -> bytes:
    """A piece of a stream."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def event(message: object) -> bytes:
    """One event in a chunk of its own."""
    return chunk(b"event: message\ndata: " + orjson.dumps(message) + b"\n\n")


def result(number: int, told: object) -> dict[str, Any]:
    """An answer to request `number`."""
    return {"jsonrpc": "2.0", "id": number, "result": told}


def behaving(act: Act, hello: object = HELLO, tools: object = (TOOL,)) -> Callable[[Peer], Awaitable[None]]:
    """A server; `act` answers every call of a tool."""

    async def talk(peer: Peer) -> None:
        while True:
            asked = orjson.loads(await peer.request())
            match asked["method"]:
                case "server/discover":
                    await peer.say(json_answer(result(asked["id"], hello)))
                case "tools/list":
                    await peer.say(json_answer(result(asked["id"], {"tools": tools})))
                case _:
                    await act(peer, asked["id"])

    return talk


@asynccontextmanager
async def met(act: Act, *, max_result_bytes: int = 1 << 20) -> AsyncIterator[tuple[MCPOverHTTP, Server]]:
    """A client that has seen what the server offers."""
    async with serving(behaving(act)) as there:
        endpoint = Endpoint("bad", f"http://127.0.0.1:{there.port}/mcp", {})
        server = MCPOverHTTP("bad", endpoint, max_result_bytes=max_result_bytes)
        await server.discover()
        try:
            yield server, there
        finally:
            await server.close()
