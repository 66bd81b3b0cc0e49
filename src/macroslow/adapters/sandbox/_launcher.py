"""The gateway's handle of its launcher, which starts zygotes for it once it has restricted itself."""

import asyncio
import contextlib
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from macroslow.adapters.sandbox._channel import receive, undisturbed
from macroslow.adapters.sandbox._zygote import Started, spawn
from macroslow.adapters.sandbox.inside import wire


@dataclass(slots=True, eq=False)
class ZygoteLauncher:
    """Implements `_zygote.Launcher` by a process of its own. Made by `open`."""

    process: Started
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    @classmethod
    def open(cls, profiles: Mapping[str, Mapping[str, object]]) -> Self:
        """Start it with all that it will ever start: what each zygote is told, by its name. Nobody waits."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            child = spawn("launcher", theirs)
        started = Started(ours, os.pidfd_open(child.pid), child)
        with contextlib.suppress(OSError):  # it has ended: who asks for a zygote will meet that
            for name, profile in profiles.items():
                wire.send(ours, {"name": name, "profile": profile})
            wire.send(ours, {"kind": "seal"})
        return cls(started)

    async def start(self, name: str) -> Started:
        """Start the zygote of that name. EOFError if the launcher has gone, or knows no such zygote."""
        starting = asyncio.ensure_future(self._start(name))
        try:
            return await asyncio.shield(starting)
        except asyncio.CancelledError:
            starting.add_done_callback(_drop)
            raise

    async def _start(self, name: str) -> Started:
        async with self._turn:
            try:
                wire.send(self.process.channel, {"kind": "start", "name": name})
            except OSError as error:
                raise EOFError from error
            _, descriptors = await receive(self.process.channel)
        channel, pidfd = descriptors
        return Started(socket.socket(fileno=channel), pidfd)

    async def close(self) -> None:
        """End it; zygotes end with whoever has their sockets."""
        self.process.channel.close()
        await undisturbed(asyncio.to_thread(self.process.forget))


def _drop(starting: "asyncio.Future[Started]") -> None:
    """End a zygote that nobody waited for."""
    if not starting.cancelled() and starting.exception() is None:
        starting.result().channel.close()
        starting.result().forget()
