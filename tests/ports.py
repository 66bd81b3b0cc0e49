"""Ports that stay a test's own until the server that it starts takes them.

One that was free a moment ago may be anybody's when the server is up. A socket that is bound and does not
listen keeps its port from all who ask for any, lets nobody connect, and gives way to a server that names the
port and sets SO_REUSEADDR, as servers do.
"""

import socket
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def held_port(host: str = "127.0.0.1") -> Iterator[int]:
    """A port of `host` on which nobody listens but who is told of it."""
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind((host, 0))
        yield holder.getsockname()[1]
