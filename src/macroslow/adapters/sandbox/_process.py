"""Init of a run or a box, as the gateway holds it: forked, killed through its pidfd, waited for."""

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from macroslow.adapters.sandbox._cgroup import Group
from macroslow.adapters.sandbox._channel import is_readable, receive, undisturbed, wait_readable
from macroslow.adapters.sandbox._zygote import Zygote
from macroslow.errors import SandboxUnavailableError

_START_S: Final = 20.0
_DEATH_S: Final = 10.0
_GRACE_S: Final = 3.0


@dataclass(slots=True)
class Process:
    """Init. `gentle`: to end it is to ask it to sweep, since no pid namespace does."""

    control: socket.socket
    pidfd: int
    pid: int
    port: int
    listener: socket.socket | None
    gentle: bool

    @property
    def alive(self) -> bool:
        return not is_readable(self.pidfd)

    def kill(self) -> None:
        """End init, and with it all that it started."""
        self._signal(signal.SIGTERM if self.gentle else signal.SIGKILL)

    async def wait(self) -> None:
        """Return once init is dead; kill it for good if it does not end in time."""
        try:
            async with asyncio.timeout(_GRACE_S if self.gentle else _DEATH_S):
                await wait_readable(self.pidfd)
        except TimeoutError:
            self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.pidfd, number)

    async def end(self) -> None:
        """Leave nothing of it."""
        await undisturbed(self._end())

    async def _end(self) -> None:
        self.kill()
        await self.wait()
        os.close(self.pidfd)
        if self.listener is not None:
            self.listener.close()


async def fork(
    zygote: Zygote,
    request: Mapping[str, object],
    groups: Sequence[Group],
    stack: contextlib.AsyncExitStack,
    *,
    gentle: bool = False,
) -> Process:
    """Have `zygote` fork what is requested, in groups that are its own; `stack` undoes all of it.

    Raises EOFError if the zygote died, SandboxUnavailableError if a step failed.
    """
    for group in groups:
        stack.push_async_callback(asyncio.to_thread, group.remove)
    control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    stack.callback(control.close)
    with theirs, contextlib.ExitStack() as opened:
        doors = [opened.enter_context(group.door()) for group in groups]
        await zygote.ask(request, [theirs.fileno(), *doors])
    try:
        async with asyncio.timeout(_START_S):
            process = await _meet(control, gentle=gentle)
    except TimeoutError:
        raise SandboxUnavailableError("the sandbox process does not answer") from None
    stack.push_async_callback(process.end)
    return process


async def _meet(control: socket.socket, *, gentle: bool) -> Process:
    """Wait until the zygote has forked and init stands behind its walls."""
    pidfd, ready, listener = -1, None, None
    try:
        while pidfd < 0 or ready is None:
            message, descriptors = await receive(control)
            if message["kind"] == "failed":
                raise SandboxUnavailableError(str(message["error"]))
            if message["kind"] == "forked":
                pidfd = descriptors[0]
            else:
                ready = int(message["port"])
                listener = socket.socket(fileno=descriptors[0]) if descriptors else None
    except BaseException:
        if pidfd >= 0:
            os.close(pidfd)
        if listener is not None:
            listener.close()
        raise
    return Process(control, pidfd, pid_of(pidfd), ready, listener, gentle)


def pid_of(pidfd: int) -> int:
    """The process id that a pidfd stands for, in our own numbering; -1 once it is gone."""
    with open(f"/proc/self/fdinfo/{pidfd}") as file:  # noqa: PTH123
        return next(int(line.split()[1]) for line in file if line.startswith("Pid:"))
