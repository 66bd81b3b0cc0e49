"""A listener on a real socket, and callers that write to it what they like."""

import asyncio
import re
from collections.abc import Callable
from contextlib import suppress

from macroslow.web import serve
from macroslow.web.connection import Bounds
from macroslow.web.messages import ASGIApp
from macroslow.web.tls import ServerTLS

GOOD = b"GET /health/live HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
LIMIT_S = 60.0


class Listening(serve.Listener):
    """A listener whose port is known."""

    port: int


async def listening(
    app: ASGIApp,
    bounds: Bounds,
    refused: Callable[[int, str, str], None] | None = None,
    tls: ServerTLS | None = None,
) -> Listening:
    """Open one on a free port of loopback. It is closed by whoever opened it."""
    sockets = serve.bind("127.0.0.1", 0)
    listener = Listening(app, bounds) if refused is None else Listening(app, bounds, refused)
    await listener.open(sockets, tls)
    listener.port = sockets[0].getsockname()[1]
    return listener


async def say(port: int, *pieces: bytes, then_close: bool = False, limit_s: float = LIMIT_S) -> bytes:
    """Send pieces and return all that comes until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    answer = bytearray()
    try:
        async with asyncio.timeout(limit_s):
            with suppress(ConnectionError):
                for piece in pieces:
                    writer.write(piece)
                    await writer.drain()
                if then_close:
                    writer.write_eof()
                while piece := await reader.read(65536):
                    answer += piece
    finally:
        writer.close()
    return bytes(answer)


def statuses(answer: bytes) -> list[int]:
    """Of all responses in an answer, one after the other."""
    return [int(found) for found in re.findall(rb"HTTP/1\.1 (\d{3}) ", answer)]
