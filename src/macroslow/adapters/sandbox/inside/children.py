"""The dead children of a process that waits for its socket as well: noticed by a pipe, and collected."""

import contextlib
import os
import resource
import signal
from collections.abc import Iterator


def ends() -> tuple[int, int]:
    """A pipe that can be read once a child has ended, or a handled signal has come: its two ends."""
    wakeup, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
    return wakeup, writer


def dead() -> Iterator[tuple[int, int, resource.struct_rusage]]:
    """Collect the children that are dead, orphans included: pid, status and usage of each."""
    with contextlib.suppress(ChildProcessError):
        while (found := os.wait4(-1, os.WNOHANG))[0]:
            yield found


def reap() -> None:
    """Collect the children that are dead, whoever they were."""
    for _ in dead():
        pass
