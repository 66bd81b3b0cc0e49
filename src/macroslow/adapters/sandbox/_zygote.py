"""The gateway's handle of one zygote: start it, ask it for runs, notice when it dies."""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol, Self

from macroslow.adapters.sandbox._channel import is_readable, receive, undisturbed, wait_readable
from macroslow.adapters.sandbox.inside import wire
from macroslow.errors import SandboxUnavailableError

_START_S: Final = 20.0
_CLOSE_S: Final = 1.0
_BOOT: Final = "import sys; sys.path.insert(0, sys.argv[1]); from inside.{} import main; main()"


@dataclass(frozen=True, slots=True)
class Started:
    """A process that has its profile: our end of its socket, its pidfd, and itself if it is our child."""

    channel: socket.socket
    pidfd: int
    child: subprocess.Popen[bytes] | None = None

    @property
    def alive(self) -> bool:
        return not is_readable(self.pidfd)

    def forget(self) -> None:
        """Wait for it, once it is dead or about to die, and close what we have of it."""
        if self.child is not None:
            self.child.wait()
        os.close(self.pidfd)


class Launcher(Protocol):
    """Who starts zygotes for a gateway that cannot; see `_launcher`."""

    async def start(self, name: str) -> Started:
        """Start the zygote of that name. EOFError if the launcher has gone."""
        ...


@dataclass(slots=True, eq=False)
class Zygote:
    """A started zygote. `runs` counts those it has forked, `active` those that still live."""

    process: Started
    runs: int = 0
    active: int = 0
    retired: bool = False

    @classmethod
    async def start(
        cls, profile: Mapping[str, object], launcher: Launcher | None = None, name: str = ""
    ) -> Self:
        """Start one and wait until it has built its walls. It gets no secret and no environment.

        With a launcher it is the one that was named `name` to it, with the same profile. Raises
        SandboxUnavailableError with the step that failed.
        """
        try:
            zygote = cls(_spawn_zygote(profile) if launcher is None else await launcher.start(name))
        except (EOFError, OSError) as error:
            raise SandboxUnavailableError("the sandbox process did not start") from error
        try:
            async with asyncio.timeout(_START_S):
                message, _ = await receive(zygote.channel)
        except (EOFError, TimeoutError, OSError) as error:
            await zygote.close()
            raise SandboxUnavailableError("the sandbox process did not start") from error
        except asyncio.CancelledError:
            await zygote.close()
            raise
        if message["kind"] != "ready":
            await zygote.close()
            raise SandboxUnavailableError(str(message["error"]))
        zygote.channel.setblocking(False)
        return zygote

    @property
    def channel(self) -> socket.socket:
        return self.process.channel

    @property
    def alive(self) -> bool:
        return self.process.alive

    async def ask(self, message: Mapping[str, object], descriptors: Sequence[int] = ()) -> None:
        """Send a request; raises EOFError if the zygote has gone."""
        while True:
            try:
                wire.send(self.channel, message, descriptors)
            except BlockingIOError:  # busy with imports: its queue is full
                await asyncio.sleep(0.005)
            except OSError as error:
                raise EOFError from error
            else:
                return

    async def warm(self, modules: Sequence[str]) -> None:
        """Have it import `modules` (those that exist) before it forks any run that is asked for later."""
        with contextlib.suppress(EOFError):  # it has gone: who asks for a run will meet that
            await self.ask({"kind": "warm", "modules": [*modules]})

    async def close(self) -> None:
        """End it and everything in it."""
        await undisturbed(self._close())

    async def _close(self) -> None:
        self.channel.close()
        try:
            async with asyncio.timeout(_CLOSE_S):
                await wait_readable(self.process.pidfd)
        except TimeoutError:
            signal.pidfd_send_signal(self.process.pidfd, signal.SIGKILL)
        finally:
            self.process.forget()


def _spawn_zygote(profile: Mapping[str, object]) -> Started:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        wire.send(ours, profile)
        child = spawn("zygote", theirs)
    return Started(ours, os.pidfd_open(child.pid), child)


def spawn(module: str, channel: socket.socket) -> subprocess.Popen[bytes]:
    """Start `main` of a module of `inside`, with nothing of ours but this end of a socket."""
    return subprocess.Popen(
        [sys.executable, "-I", "-c", _BOOT.format(module), str(Path(__file__).parent), str(channel.fileno())],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={},
        pass_fds=[channel.fileno()],
        start_new_session=True,
    )
