"""Serving the emulator: uvicorn inside a running event loop, on a socket that is ours.

Loopback unless told otherwise. The caller's signal handlers stay as they are.
"""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from typing import Final

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from macroslow.emulator.app import Emulator
from macroslow.emulator.exchange import ABORT

_GRACE_S: Final = 5
_BACKLOG: Final = 2048


class _Protocol(HttpToolsProtocol):
    """Lets the application close a connection without a byte, as a provider's load balancer does."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = {ABORT: {"connection": self.transport.abort}}


class _Server(uvicorn.Server):
    """Leaves signals to whoever runs it."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def bind(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 is any free one. Raises OSError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(_BACKLOG)
    except BaseException:
        listener.close()
        raise
    return listener


@contextlib.asynccontextmanager
async def running(emulator: Emulator, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[str]:
    """Serve while the context lasts; yields the base URL for an SDK, `http://HOST:PORT/v1`.

    At the end requests under way get five seconds. Raises OSError if the address is taken.
    """
    listener = bind(host, port)
    config = uvicorn.Config(
        emulator,
        http=_Protocol,
        ws="none",
        lifespan="off",
        access_log=False,
        # An answer cut on purpose is an error to uvicorn, and nothing else is worth a line.
        log_level="critical",
        proxy_headers=False,
        server_header=False,
        date_header=False,
        timeout_graceful_shutdown=_GRACE_S,
    )
    server = _Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    bracketed = f"[{host}]" if ":" in host else host
    try:
        # The socket listens already: who connects before uvicorn is ready waits in its backlog.
        yield f"http://{bracketed}:{listener.getsockname()[1]}/v1"
    finally:
        server.should_exit = True
        await serving
