"""The provider that never thinks: a streamed chat answer, CHUNKS events, some milliseconds apart.

    upstream.py PORT MILLISECONDS

It reads just enough HTTP/1.1 for the gateways that are measured: requests with a Content-Length, one
after the other on a connection. Plain answers come from nginx, which is cheaper still.
"""

import asyncio
import json
import re
import sys
from typing import Final

import uvloop

CHUNKS: Final = 20
_LENGTH: Final = re.compile(rb"content-length:\s*(\d+)", re.IGNORECASE)
_HEAD: Final = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


def _event(members: dict[str, object]) -> bytes:
    chunk = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1_700_000_000, "model": "m"}
    return b"data: " + json.dumps({**chunk, **members}, separators=(",", ":")).encode() + b"\n\n"


def _written(text: str | None) -> bytes:
    delta = {} if text is None else {"content": text}
    finish_reason = "stop" if text is None else None
    return _event({"choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}]})


USAGE: Final = {"prompt_tokens": 60, "completion_tokens": CHUNKS, "total_tokens": 60 + CHUNKS}
EVENTS: Final = [_written(f"word{at} ") for at in range(CHUNKS - 1)] + [_written(None)]
WITH_USAGE: Final = _event({"choices": [], "usage": USAGE})
DONE: Final = b"data: [DONE]\n\n"


def _framed(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


class Upstream(asyncio.Protocol):
    """One connection of a gateway."""

    def __init__(self, delay_s: float) -> None:
        self._delay_s = delay_s
        self._received = b""
        self._transport: asyncio.Transport
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, end, rest = self._received.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        size = int(length[1]) if length else 0
        if end and len(rest) >= size:
            self._received = rest[size:]
            # As OpenAI does it: the chunk with the usage comes to those who asked for it.
            last = WITH_USAGE + DONE if b'"include_usage":true' in rest[:size] else DONE
            self._transport.write(_HEAD + _framed(EVENTS[0]))
            self._later(1, last)

    def _later(self, at: int, last: bytes) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._delay_s, self._next, at, last)

    def _next(self, at: int, last: bytes) -> None:
        if at < CHUNKS - 1:
            self._transport.write(_framed(EVENTS[at]))
            self._later(at + 1, last)
        else:
            self._transport.write(_framed(EVENTS[at]) + _framed(last) + b"0\r\n\r\n")


async def main(port: int, delay_s: float) -> None:
    """Serve until killed."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Upstream(delay_s), "127.0.0.1", port, backlog=2048)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), float(sys.argv[2]) / 1000))
