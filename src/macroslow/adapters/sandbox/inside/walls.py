"""What stands around one run or one box, and building it: the part of init that comes before sealing."""

import os
import socket
from dataclasses import dataclass, field
from typing import Final

from . import landlock, namespaces, seal, seccomp, syscalls

_PATH: Final = "/usr/local/bin:/usr/bin:/bin"
CONTROL: Final = 3  # the descriptor of init's own socket to the gateway


@dataclass(frozen=True, slots=True)
class Walls:
    """What the zygote was told about one run, and about the backend.

    `command` and `mounts` are a box's: the program that runs instead of blocks, and what it is shown.
    """

    native: bool
    bounds: seal.Bounds
    egress: bool
    shared_memory: bool
    cell: bool = False  # start the Python process at once, ahead of the job
    folders: tuple[str, ...] = ()
    work: str = namespaces.WORK
    port: int = 0
    command: tuple[str, ...] = ()
    mounts: dict[str, bool] = field(default_factory=dict)

    @property
    def temporary(self) -> str:
        return f"{self.work}/.tmp"

    @property
    def environment(self) -> dict[str, str]:
        """What every program finds set, if nobody says otherwise."""
        return {"PATH": _PATH, "HOME": self.work, "TMPDIR": self.temporary, "LANG": "C.UTF-8"}

    @property
    def profile(self) -> seccomp.Profile:
        """What stands in for the walls that are missing.

        Landlock does not look at connections to sockets in the file system: the gateway's own
        control socket could be among them, so there are no UNIX sockets without a mount namespace.
        Nor are there in a box, which may be shown a folder that has some.
        """
        return seccomp.Profile(
            namespaces=self.native,
            shared_memory=self.shared_memory and self.native,
            signals=self.native or landlock.abi() >= landlock.SCOPE_ABI,
            unix_sockets=self.native and not self.command,
            datagrams=self.native,
        )


def build(walls: Walls) -> tuple[socket.socket, int] | None:
    """Namespaces, limits and folders; returns the egress listener if the run wants one."""
    os.setsid()
    os.umask(0o077)
    if walls.native:
        namespaces.enter_run(walls.bounds.file_bytes, walls.bounds.files)
    else:
        syscalls.prctl(syscalls.PR_SET_CHILD_SUBREAPER, 1)
    null = os.open("/dev/null", os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    os.close(null)
    os.chdir(walls.work)
    os.mkdir(walls.temporary)  # noqa: PTH102 - this side stays free of pathlib
    os.mkdir(f"{walls.work}/.shm")  # noqa: PTH102
    listener = namespaces.listen() if walls.native and walls.egress else None
    seal.limit(walls.bounds)
    return listener
