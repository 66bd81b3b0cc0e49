"""Accepting over TLS: a caller counts from the moment he connects, not from the end of his handshake.

The loop's own servers tell of a connection when its handshake is over, so that callers who never finish one
would count nowhere, each with a descriptor and its buffers for HANDSHAKE_S. Here they share the places of
all connections. Who finds none is cut off without a word: to say why would cost the handshake.
"""

import asyncio
import errno
import socket
from collections.abc import Collection
from typing import Any, Final, NoReturn

from macroslow.web.connection import Connection, Served
from macroslow.web.tls import GOODBYE_S, HANDSHAKE_S, ServerTLS

_EXHAUSTED: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
PAUSE_S: Final = 1.0  # where the machine has no descriptor or buffer left, as the loop's own servers have it


class Handshakes:
    """The sockets of one listener with TLS, and the handshakes under way on them."""

    def __init__(self, served: Served, tls: ServerTLS) -> None:
        self._served = served
        self._tls = tls
        self._loop = asyncio.get_running_loop()
        self._accepting: dict[asyncio.Task[NoReturn], socket.socket] = {}
        self._under_way: set[asyncio.Task[None]] = set()

    def open(self, sock: socket.socket) -> None:
        """Take connections from a listening socket that does not block."""
        self._accepting[self._loop.create_task(self._accept(sock))] = sock

    async def close(self) -> None:
        """Take none any more, and give up the handshakes. The sockets are closed."""
        await _ended(self._accepting)
        await _ended(self._under_way)  # each has begun by now, or it would not give its place back
        for sock in self._accepting.values():
            sock.close()

    async def _accept(self, sock: socket.socket) -> NoReturn:
        while True:
            try:
                caller, peer = await self._loop.sock_accept(sock)
            except OSError as error:  # mostly of a caller who has left already (accept(2))
                await asyncio.sleep(PAUSE_S if error.errno in _EXHAUSTED else 0)
            else:
                self._take(caller, str(peer[0]))

    def _take(self, caller: socket.socket, address: str) -> None:
        connection = Connection(self._served)
        if not self._served.is_for(address):
            self._served.refused(403, "address-refused", address)
            caller.close()
        elif self._served.enter(connection, address):
            self._served.refused(503, "overloaded", address)
            caller.close()
        else:
            task = self._loop.create_task(self._shake_hands(connection, caller))
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)

    async def _shake_hands(self, connection: Connection, caller: socket.socket) -> None:
        """Until there is a connection, which then looks after itself, or none."""
        try:
            await self._loop.connect_accepted_socket(
                lambda: connection,
                caller,
                ssl=self._tls.context,
                ssl_handshake_timeout=HANDSHAKE_S,
                ssl_shutdown_timeout=GOODBYE_S,
            )
        except OSError:  # ssl.SSLError is one: it did not come about
            pass
        finally:
            if not connection.made:
                self._served.crowd.leave(connection)


async def _ended(tasks: Collection[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait([*tasks])
