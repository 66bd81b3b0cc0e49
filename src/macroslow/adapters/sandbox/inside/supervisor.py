"""Init of one run, behind its walls: starts its blocks, reports how each ended as the kernel says.

It runs none of the document's code, is not dumpable and, as pid 1 of its namespace, cannot be
killed from inside; when it dies, everything in the run dies.
"""

import json
import os
import select
import signal
import socket
from dataclasses import dataclass, field
from types import FrameType
from typing import Any, Final

from . import cells, children, landlock, namespaces, seal, syscalls, wire
from .walls import CONTROL, Walls

_MAX_ERROR_CHARS: Final = 2000
_MOST_EXIT_CODE: Final = 255


@dataclass(slots=True)
class _Current:
    """The block that runs now. `pid` is the process whose end is the block's end."""

    index: int
    pid: int
    is_cell: bool


@dataclass(slots=True)
class Supervisor:
    """Serves one run: its blocks, one after another."""

    control: socket.socket
    walls: Walls
    job: dict[str, Any] = field(default_factory=dict)
    brief: int = -1  # the job as the gateway wrote it
    current: _Current | None = None
    cell: socket.socket | None = None
    cell_pid: int = 0
    stopping: bool = False

    def run(self) -> None:
        """Serve the gateway until it hangs up."""
        if self.walls.cell:
            self._start_cell()
        wakeup, _ = children.ends()
        # Pid 1 of a namespace is deaf to what it does not handle: there, blocks could send these.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        if not self.walls.native:
            signal.signal(signal.SIGTERM, self._told_to_stop)
        while True:
            watched: list[Any] = [self.control, wakeup]
            if self.cell is not None:
                watched.append(self.cell)
            ready, _, _ = select.select(watched, [], [])
            if self.cell is not None and self.cell in ready:
                self._hear_cell(self.cell)
            if wakeup in ready:
                os.read(wakeup, 4096)
                self._reap()
            if self.stopping:
                self._sweep()
            if self.control in ready:
                self._hear_gateway()

    def _told_to_stop(self, _number: int, _frame: FrameType | None) -> None:
        self.stopping = True

    def _hear_gateway(self) -> None:
        try:
            message, descriptors = wire.receive(self.control)
        except EOFError:
            self._sweep()
            raise
        if message["kind"] == "begin":
            self.job = wire.read_job(descriptors[0])
            self._write_files()
            if self.cell is not None:
                self._brief(self.cell, descriptors[0])
            self.brief = descriptors[0]
            return
        self._start(message["index"], descriptors)
        for descriptor in descriptors:
            os.close(descriptor)

    def _write_files(self) -> None:
        """All that init ever writes, before any block could lay a link in its way."""
        _write_file(f"{self.walls.temporary}/inputs.json", json.dumps(self.job["inputs"]))
        for index, block in enumerate(self.job["blocks"]):
            if block["language"] != "python":
                # Empty lines in front, so that bash counts as the document does.
                _write_file(self._script(index), "\n" * (block["line"] - 1) + block["code"])

    def _script(self, index: int) -> str:
        return f"{self.walls.temporary}/block-{index}.sh"

    def _start(self, index: int, descriptors: list[int]) -> None:
        block = self.job["blocks"][index]
        try:
            if block["language"] == "python":
                cell = self.cell or self._start_cell()
                self.current = _Current(index, self.cell_pid, is_cell=True)
                wire.send(cell, {"index": index}, descriptors)
            else:
                self.current = _Current(index, self._start_shell(index, descriptors), is_cell=False)
        except OSError as error:
            self._end(index, exit_code=None, error=f"The block could not be started: {error}.")

    def _start_cell(self) -> socket.socket:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        pid = os.fork()
        if pid == 0:
            try:
                channel = socket.socket(fileno=self._enter_child(theirs.detach()))
                cells.serve(channel, self._environment())
            finally:
                os._exit(1)
        theirs.close()
        self.cell, self.cell_pid = ours, pid
        if self.brief >= 0:
            self._brief(ours, self.brief)
        return ours

    def _brief(self, cell: socket.socket, descriptor: int) -> None:
        wire.send(cell, {"kind": "begin"}, [descriptor])

    def _start_shell(self, index: int, descriptors: list[int]) -> int:
        pid = os.fork()
        if pid == 0:
            try:
                os.dup2(descriptors[0], 1)
                os.dup2(descriptors[1], 2)
                self._enter_child(None)
                environment = {**self._environment(), **self.job["environment"]}
                command = ["bash", "--noprofile", "--norc", self._script(index)]
                os.execve("/bin/bash", command, environment)  # noqa: S606 - to start one is the point
            except OSError as error:
                os.write(2, f"bash: {error.strerror}\n".encode())
            finally:
                os._exit(127)
        return pid

    def _enter_child(self, kept: int | None) -> int:
        """Reset what init changed for itself; leave open the three streams and, as 3, `kept`."""
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(number, signal.SIG_DFL)
        os.setsid()
        if kept is not None:
            os.dup2(kept, CONTROL)
        else:
            os.close(CONTROL)
        syscalls.close_from(CONTROL + 1)
        seal.limit_files(self.walls.bounds)
        if kept is not None:  # Python's own habits, for Python's own code
            signal.signal(signal.SIGPIPE, signal.SIG_IGN)
            signal.signal(signal.SIGINT, signal.default_int_handler)
        if not self.walls.native:
            devices = [f"/dev/{name}" for name in namespaces.DEVICES]
            landlock.restrict(self.walls.folders, [self.walls.work], devices, self.walls.port)
        return CONTROL

    def _environment(self) -> dict[str, str]:
        return {**self.walls.environment, "MAML_INPUTS": f"{self.walls.temporary}/inputs.json"}

    def _hear_cell(self, cell: socket.socket) -> None:
        try:
            message, descriptors = wire.receive(cell)
        except (EOFError, OSError):
            cell.close()
            self.cell = None
            return
        except ValueError:  # the code wrote to our socket itself
            return
        for descriptor in descriptors:
            os.close(descriptor)
        if self.current is not None and self.current.is_cell:
            code = message.get("exit_code")
            code = code if type(code) is int and 0 <= code <= _MOST_EXIT_CODE else 1
            self._end(self.current.index, exit_code=code, error=str(message.get("error", "")))

    def _reap(self) -> None:
        """Collect everything that died, orphans included; report the block if it was its process."""
        for pid, status, usage in children.dead():
            if self.current is None or pid != self.current.pid:
                continue
            number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else None
            self._end(
                self.current.index,
                exit_code=None if number else os.WEXITSTATUS(status),
                number=number,
                cpu_ms=round((usage.ru_utime + usage.ru_stime) * 1000),
            )

    def _end(
        self,
        index: int,
        *,
        exit_code: int | None,
        number: int | None = None,
        cpu_ms: int = 0,
        error: str = "",
    ) -> None:
        report = {"kind": "ended", "index": index, "exit_code": exit_code, "signal": number}
        report |= {"cpu_ms": cpu_ms, "error": error[:_MAX_ERROR_CHARS], **self._disk()}
        self.current = None
        wire.send(self.control, report)

    def _disk(self) -> dict[str, int]:
        """What the work folder holds, and what it has room for still."""
        if not self.walls.native:
            return {}
        room = os.statvfs(self.walls.work)
        return {
            "disk_bytes": (room.f_blocks - room.f_bfree) * room.f_frsize,
            "disk_free_bytes": room.f_bfree * room.f_frsize,
            "disk_files": room.f_files - room.f_ffree - 5,
            "disk_free_files": room.f_ffree,
        }

    def _sweep(self) -> None:
        """Without a pid namespace: kill all that descends from us, until nothing is left; then leave."""
        if self.walls.native:
            os._exit(0)
        while victims := _descendants(os.getpid()):
            for pid in victims:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue
            self.current = None
            self._reap()
        os._exit(0)


def _descendants(pid: int) -> list[int]:
    """All living and dead children of `pid`, theirs, and so on. Needs /proc."""
    found: list[int] = []
    waiting = [pid]
    while waiting:
        parent = waiting.pop()
        try:
            for thread in os.listdir(f"/proc/{parent}/task"):  # noqa: PTH208
                with open(f"/proc/{parent}/task/{thread}/children") as file:  # noqa: PTH123
                    waiting += (children := [int(child) for child in file.read().split()])
                    found += children
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


def _write_file(path: str, text: str) -> None:
    with open(path, "x", encoding="utf-8") as file:  # noqa: PTH123
        file.write(text)
