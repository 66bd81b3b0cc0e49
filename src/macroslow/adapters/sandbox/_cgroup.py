"""A memory group per run: the only limit that counts every kind of memory of all its processes.

Made below the gateway's own group, in cgroup v1 or v2, whichever the machine has and lets us. Where
it does not, callers fall back to sampling and say so. A box may have a group for processor time too.

Source: Linux Documentation/admin-guide/cgroup-v1/memory.rst and cgroup-v2.rst; scheduler/sched-bwc.rst.
"""

import contextlib
import os
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from macroslow.adapters.sandbox._mountinfo import mounted

_REMOVE_TRIES: Final = 500
_REMOVE_PAUSE_S: Final = 0.002
_SOCKETS_SHARE: Final = 4  # of a run's memory, what may lie unread in its sockets
_PERIOD_US: Final = 100_000
_SHARES: Final = 256  # of 1024: a quarter of the gateway's weight; niceness counts only within a group


@dataclass(frozen=True, slots=True)
class Layout:
    """The file names of one cgroup version."""

    join: str
    limit: str
    swap: str
    swap_is_total: bool  # v1 bounds memory and swap together, v2 swap alone
    peak: str
    events: str
    sockets: str = ""  # v1 counts what sockets hold beside the rest, and only with a limit of its own


V1: Final = Layout(
    "tasks",
    "memory.limit_in_bytes",
    "memory.memsw.limit_in_bytes",
    True,
    "memory.max_usage_in_bytes",
    "memory.oom_control",
    "memory.kmem.tcp.limit_in_bytes",
)
V2: Final = Layout("cgroup.procs", "memory.max", "memory.swap.max", False, "memory.peak", "memory.events")


@dataclass(frozen=True, slots=True)
class Group:
    """One run's group. `join` is the file by which a process enters it."""

    path: Path
    join: str

    @contextlib.contextmanager
    def door(self) -> Iterator[int]:
        """A descriptor by which a process enters the group itself, writing 0.

        The kernel checks the rights of who opened it. To be moved by others costs milliseconds of a
        lock that every process of the machine shares.
        """
        descriptor = os.open(self.path / self.join, os.O_WRONLY | os.O_CLOEXEC)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def remove(self) -> None:
        """Remove the group; the kernel may take a moment to see that it is empty."""
        for _ in range(_REMOVE_TRIES):
            try:
                self.path.rmdir()
            except FileNotFoundError:
                return
            except OSError:
                time.sleep(_REMOVE_PAUSE_S)
            else:
                return


@dataclass(frozen=True, slots=True)
class MemoryGroup(Group):
    """Counts and bounds memory."""

    layout: Layout

    def peak_bytes(self) -> int:
        return int((self.path / self.layout.peak).read_text())

    def oom_kills(self) -> int:
        """How many processes the kernel killed because the group was full."""
        lines = (self.path / self.layout.events).read_text().splitlines()
        return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), 0)

    def share(self, cpus: float) -> bool:
        """Bound processor time too, where the group (v2) can; whether it does."""
        try:
            (self.path / "cpu.max").write_text(f"{round(cpus * _PERIOD_US)} {_PERIOD_US}")
        except OSError:
            return False
        return True


@dataclass(frozen=True, slots=True)
class GroupParent:
    """Where groups can be made."""

    path: Path
    layout: Layout

    def create(self, name: str, limit_bytes: int) -> MemoryGroup:
        """Make a group that holds at most `limit_bytes`; raises OSError."""
        path = self.path / name
        path.mkdir()
        group = MemoryGroup(path, self.layout.join, self.layout)
        try:
            (path / self.layout.limit).write_text(str(limit_bytes))
            with contextlib.suppress(FileNotFoundError):  # no swap accounting
                swap = limit_bytes if self.layout.swap_is_total else 0
                (path / self.layout.swap).write_text(str(swap))
            if self.layout.sockets:
                with contextlib.suppress(FileNotFoundError):  # a kernel without that counter
                    (path / self.layout.sockets).write_text(str(limit_bytes // _SOCKETS_SHARE))
            group.oom_kills()
            group.peak_bytes()
        except OSError:
            group.remove()
            raise
        return group

    def sweep(self) -> None:
        """Remove the empty groups of gateways that were killed before they could."""
        for path in self.path.glob("macroslow-*-*"):
            if not Path("/proc", path.name.split("-")[1]).exists():
                with contextlib.suppress(OSError):
                    path.rmdir()


def fresh_name() -> str:
    """A name for the groups of one run or one box, that says whose they are: see `GroupParent.sweep`."""
    return f"macroslow-{os.getpid()}-{secrets.token_hex(6)}"


def memory_group(parent: GroupParent | None, name: str, limit_bytes: int) -> MemoryGroup | None:
    """Make a group, if there is where to and it can be made."""
    with contextlib.suppress(OSError):
        return parent.create(name, limit_bytes) if parent is not None else None
    return None


def find_parent() -> GroupParent | None:
    """Return where memory groups can be made, having made one; None where they cannot."""
    for parent in _candidates():
        with contextlib.suppress(OSError, ValueError):
            parent.create(f"macroslow-{os.getpid()}-trial", 64 * 1024 * 1024).remove()
            parent.sweep()
            return parent
    return None


def share(name: str, cpus: float) -> Group | None:
    """Make a group (v1) that bounds processor time to `cpus`; None where it cannot be made."""
    for parent in _candidates("cpu"):
        if parent.layout is not V1:
            continue
        group = Group(parent.path / name, V1.join)
        with contextlib.suppress(OSError):
            parent.sweep()
            group.path.mkdir()
            try:
                (group.path / "cpu.cfs_period_us").write_text(str(_PERIOD_US))
                (group.path / "cpu.cfs_quota_us").write_text(str(round(cpus * _PERIOD_US)))
                (group.path / "cpu.shares").write_text(str(_SHARES))
            except OSError:
                group.remove()
                continue
            return group
    return None


def _candidates(controller: str = "memory") -> list[GroupParent]:
    try:
        own = Path("/proc/self/cgroup").read_text().splitlines()
        mounts = mounted()
    except OSError:
        return []
    found = []
    for line in own:
        _, controllers, group = line.split(":", 2)
        kind = "cgroup2" if not controllers else "cgroup"
        if controllers and controller not in controllers.split(","):
            continue
        for mount in mounts:
            if mount.kind != kind or (controllers and controller not in mount.options):
                continue
            below = group.removeprefix(mount.root.rstrip("/")).lstrip("/")
            parent = GroupParent(Path(mount.point, below), V1 if controllers else V2)
            if controllers or _delegates_memory(parent.path):
                found.append(parent)
    return found


def _delegates_memory(group: Path) -> bool:
    """Whether children of a v2 group get the memory controller; ours may hold processes only in leaves."""
    control = group / "cgroup.subtree_control"
    try:
        if "memory" in control.read_text().split():
            return True
        if (group / "cgroup.procs").read_text().split() != [str(os.getpid())]:
            return False
        if "memory" not in (group / "cgroup.controllers").read_text().split():
            return False
        leaf = group / "gateway"
        leaf.mkdir(exist_ok=True)
        (leaf / "cgroup.procs").write_text(str(os.getpid()))
        control.write_text("+memory")
    except OSError:
        return False
    return True
