"""`serve --stdio`: an MCP client that starts a program gets a gateway at the other end of its pipes.

It is the one that runs on this state folder; where none does, this process opens it, without a listener,
and others find it. When that one ends, whoever it served opens the next. One that listens takes its place:
then it ends, and this process is served by that one as others are.

stdout carries JSON-RPC alone: both descriptors are moved away before anything else, so that what a library
prints, or a child, goes to stderr and reads nothing.
"""

import asyncio
import fcntl
import importlib
import os
import signal
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from macroslow import control
from macroslow.adapters import statefolder
from macroslow.bootstrap.state.waiting import LOOK_EVERY_S, START_WAIT_S, Deadline
from macroslow.errors import StateLockedError
from macroslow.settings import Settings
from macroslow.stdio.relay import ClientGoneError, Relay

if TYPE_CHECKING:
    from macroslow.bootstrap.gateway import Gateway

SETTLE_S: Final = 5.0  # for the last answers, once our own end is asked for
WANTED: Final = "macroslow.mcp.server"  # takes longer to import than the rest to start


def claim_pipes() -> Relay:
    """Move stdin and stdout where nobody but the relay finds them."""
    ours = [fcntl.fcntl(number, fcntl.F_DUPFD_CLOEXEC, 3) for number in (0, 1)]
    nothing = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return Relay(*ours)


def serve_stdio(settings: Settings, relay: Relay, key: str | None) -> None:
    """Carry `relay` until its client is done, as the holder of `key`, or as this machine's own user.

    RemoteError for a bad key; ConfigurationError if no gateway can be opened.
    """
    threading.Thread(target=relay.read, daemon=True).start()
    carrier = _Carrier(settings, relay, key)
    with suppress(ClientGoneError):  # nobody is left to be told of it
        carrier.carry()


class _Carrier:
    """Finds a gateway, or opens it, for one client."""

    def __init__(self, settings: Settings, relay: Relay, key: str | None) -> None:
        self._settings = settings
        self._relay = relay
        self._key = key
        self._socket = statefolder.prepare(settings.state_folder).control_socket
        self._making_way = Deadline(0)

    def stop(self, *_: object) -> None:
        """Have no more lines taken, and what is under way end soon; at once, if asked again."""
        if self._relay.is_done:
            self._relay.cut()
            return
        self._relay.end()
        last = threading.Timer(SETTLE_S, self._relay.cut)
        last.daemon = True
        last.start()

    def carry(self) -> None:
        """From one gateway to the next until the client is done."""
        waiting = Deadline.after(START_WAIT_S)
        while not self._relay.is_done:
            for number in (signal.SIGINT, signal.SIGTERM):  # again: a loop of our own took them with it
                signal.signal(number, self.stop)
            try:
                self._with_whoever_serves()
                waiting = Deadline.after(START_WAIT_S)
            except OSError:  # nobody does
                if not self._making_way.is_over:
                    time.sleep(LOOK_EVERY_S)
                else:
                    self._try_our_own(waiting)

    def _with_whoever_serves(self) -> None:
        """OSError if nobody does."""
        with control.begin_conversation(self._socket, {"key": self._key}) as gateway:
            self._relay.carry(gateway)

    def _try_our_own(self, waiting: Deadline) -> None:
        """Open a gateway, or wait for the one that is being opened: StateLockedError once that is over."""
        import uvloop  # here: where a gateway runs, nearly nothing is needed

        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(self._with_our_own())
        except StateLockedError:
            if waiting.is_over:
                raise
            time.sleep(LOOK_EVERY_S)

    async def _with_our_own(self) -> None:
        """Open a gateway, and end with it. StateLockedError if somebody else just does that."""
        from macroslow.bootstrap.gateway import open_gateway  # here: see above

        warming = asyncio.create_task(asyncio.to_thread(importlib.import_module, WANTED))
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, self.stop)
        async with open_gateway(self._settings) as gateway:
            await warming  # before anybody can ask: two threads would import it at once
            await self._served_by(gateway)

    async def _served_by(self, gateway: "Gateway") -> None:
        from macroslow.bootstrap.edges.opening import open_edges

        wanted = asyncio.Event()
        async with open_edges(gateway, give_way=wanted.set) as edges:
            edges.lifecycle.serve()
            carried = asyncio.create_task(asyncio.to_thread(self._with_whoever_serves))
            giving_way = asyncio.create_task(wanted.wait())
            await asyncio.wait({carried, giving_way}, return_when=asyncio.FIRST_COMPLETED)
            giving_way.cancel()
            if wanted.is_set():
                self._making_way = Deadline.after(START_WAIT_S)
            edges.lifecycle.stop()
        try:
            await carried  # what was not over ended with the socket
        except OSError:
            if not wanted.is_set():
                raise
