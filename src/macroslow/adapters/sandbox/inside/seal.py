"""The last steps before foreign code: limits, no rights, Landlock, the system call filter.

The order matters: each step still needs what the next one takes away.
"""

import os
import resource
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from . import landlock, seccomp, syscalls

_NICENESS: Final = 10
# Of init and the zygote. A descriptor can be sent only while the user has fewer of them under way than
# this, in all runs together: blocks, whose own limit is far below, cannot use it up for others.
_OPEN_FILES: Final = 4096


@dataclass(frozen=True, slots=True)
class Bounds:
    """Resource limits of one run as numbers; `processes` counts all of the run's user.

    `cpu_s` 0: as long as it likes.
    """

    cpu_s: int
    file_bytes: int
    files: int
    processes: int
    open_files_per_process: int

    @classmethod
    def read(cls, message: Mapping[str, Any]) -> "Bounds":
        return cls(**{name: int(message[name]) for name in cls.__slots__})


def limit(bounds: Bounds) -> None:
    """Set the limits that the kernel keeps per process, and stand behind the gateway in the queue."""
    # A second more than the run may use in all: the gateway measures the sum and says so by name.
    cpu_s = bounds.cpu_s + 1
    if bounds.cpu_s:
        resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s + 1))
    for kind, soft, hard in (
        (resource.RLIMIT_FSIZE, bounds.file_bytes, bounds.file_bytes),
        (resource.RLIMIT_NPROC, bounds.processes, bounds.processes),
        (resource.RLIMIT_CORE, 0, 0),
        (resource.RLIMIT_MEMLOCK, 0, 0),
        (resource.RLIMIT_MSGQUEUE, 0, 0),
        (resource.RLIMIT_RTPRIO, 0, 0),
        (resource.RLIMIT_NICE, 0, 0),
    ):
        resource.setrlimit(kind, (soft, hard))
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    os.setpriority(os.PRIO_PROCESS, 0, _NICENESS)


def keep_sending() -> None:
    """Have room to pass descriptors, whatever the blocks of other runs hold."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(_OPEN_FILES, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def limit_files(bounds: Bounds) -> None:
    """The last limit, set by what runs foreign code for itself."""
    most = bounds.open_files_per_process
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def seal(profile: seccomp.Profile, *, scope: bool) -> None:
    """Give up every right for good, for this process and all it starts."""
    syscalls.drop_capabilities()
    syscalls.prctl(syscalls.PR_SET_NO_NEW_PRIVS, 1)
    if scope:
        landlock.restrict_scope()
    syscalls.prctl(syscalls.PR_SET_DUMPABLE, 0)
    seccomp.install(seccomp.assemble(profile))
