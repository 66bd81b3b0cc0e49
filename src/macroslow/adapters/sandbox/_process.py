"""Init of one run, as the gateway holds it: met once, killed through its pidfd, waited for."""

import asyncio
import contextlib
import os
import signal
import socket
from dataclasses import dataclass
from typing import Final

from macroslow.adapters.sandbox._zygote import pid_of, receive, undisturbed, wait_readable
from macroslow.errors import SandboxUnavailableError

_DEATH_S: Final = 10.0
_GRACE_S: Final = 3.0


@dataclass(slots=True)
class Process:
    """Init of one run, as the gateway holds it."""

    control: socket.socket
    pidfd: int
    pid: int
    port: int
    listener: socket.socket | None

    def kill(self, *, gentle: bool) -> None:
        """End init, and with it the run. `gentle`: ask it to sweep, since no pid namespace does."""
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.pidfd, signal.SIGTERM if gentle else signal.SIGKILL)

    async def wait(self, *, gentle: bool) -> None:
        """Return once init is dead; kill it for good if it does not end in time."""
        try:
            async with asyncio.timeout(_GRACE_S if gentle else _DEATH_S):
                await wait_readable(self.pidfd)
        except TimeoutError:
            self.kill(gentle=False)

    async def end(self, *, gentle: bool) -> None:
        """Leave nothing of the run."""
        await undisturbed(self._end(gentle=gentle))

    async def _end(self, *, gentle: bool) -> None:
        self.kill(gentle=gentle)
        await self.wait(gentle=gentle)
        os.close(self.pidfd)
        if self.listener is not None:
            self.listener.close()


async def meet(control: socket.socket) -> Process:
    """Wait until the zygote has forked and init stands behind its walls.

    Raises EOFError if the zygote died, SandboxUnavailableError if a step failed.
    """
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
    return Process(control, pidfd, pid_of(pidfd), ready, listener)
