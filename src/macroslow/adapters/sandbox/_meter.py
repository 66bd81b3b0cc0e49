"""What a run uses, measured from outside: processor time, memory and processes of its whole tree.

Memory comes from the run's group where there is one. Else it is sampled: anonymous and shared
pages of every process but init, which is ours; pages that several processes share count for each.
"""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from macroslow.adapters.sandbox._cgroup import MemoryGroup

INTERVAL_S: Final = 0.02
_TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")
_REMEMBERED: Final = 4096  # processes; those unseen for as many others are forgotten, their time is not
_Seen = dict[tuple[int, int], int]  # ticks by process id and start
_GONE: Final = (FileNotFoundError, ProcessLookupError)


@dataclass(slots=True)
class Meter:
    """Peaks and sums of one run. `sample` takes well under a millisecond for an ordinary one."""

    pid: int
    group: MemoryGroup | None
    cpu_s: float = 0.0
    memory_bytes: int = 0
    processes: int = 0
    oom_kills: int = 0
    _own_ticks: int = 0  # of all processes ever seen, without their children
    _recent: _Seen = field(default_factory=dict)
    _older: _Seen = field(default_factory=dict)

    def sample(self) -> None:
        """Measure once; the figures only grow."""
        ticks = memory = processes = 0
        for pid, threads in _tree(self.pid):
            with contextlib.suppress(*_GONE, ValueError):
                own, of_waited, start = _ticks(pid)
                self._count((pid, start), own)
                ticks += own + of_waited
                if pid != self.pid:
                    processes += threads
                    memory += 0 if self.group else _resident_bytes(pid)
        self.cpu_s = max(self.cpu_s, ticks / _TICKS_PER_S, self._own_ticks / _TICKS_PER_S)
        if len(self._recent) > _REMEMBERED:
            self._older, self._recent = self._recent, {}
        self.processes = max(self.processes, processes)
        self.memory_bytes = max(self.memory_bytes, memory)
        self.sample_group()

    def _count(self, process: tuple[int, int], ticks: int) -> None:
        """Add what a process used since it was last seen: of children that nobody waits for, and that
        are gone, the kernel keeps no time.
        """
        self._own_ticks += ticks - self._recent.get(process, self._older.get(process, 0))
        self._recent[process] = ticks

    def sample_group(self) -> None:
        """Read the group alone: right even when everything in it is dead."""
        if self.group is not None:
            self.memory_bytes = self.group.peak_bytes()
            self.oom_kills = self.group.oom_kills()


def _tree(root: int) -> Iterator[tuple[int, int]]:
    """Each living process below and including `root`, with its number of threads."""
    waiting = [root]
    while waiting:
        pid = waiting.pop()
        try:
            threads = list(Path(f"/proc/{pid}/task").iterdir())
        except _GONE:
            continue
        for thread in threads:
            with contextlib.suppress(*_GONE):
                waiting += [int(child) for child in (thread / "children").read_text().split()]
        yield pid, len(threads)


def _ticks(pid: int) -> tuple[int, int, int]:
    """Processor time of a process, that of the dead children it has waited for, and when it started."""
    fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    own, of_waited = (int(fields[at]) + int(fields[at + 1]) for at in (11, 13))
    return own, of_waited, int(fields[19])


def _resident_bytes(pid: int) -> int:
    """Memory that only this process's life keeps: anonymous and shared pages, no files."""
    total = 0
    for line in Path(f"/proc/{pid}/status").read_text(errors="replace").splitlines():
        if line.startswith(("RssAnon:", "RssShmem:")):
            total += int(line.split()[1]) * 1024
    return total
