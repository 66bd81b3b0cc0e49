"""Init of a box, behind its walls: starts the operator's program once, and ends with it.

The program's environment is what the gateway hands over with its streams, and a few names of the
box's own; it is in no argument. When the program's first process ends, init does, and the kernel
ends whatever else was left running.
"""

import os
import select
import signal
import socket
from collections.abc import Mapping
from typing import Final, NoReturn

from . import children, seal, syscalls, wire
from .walls import CONTROL, Walls

_NOT_STARTED: Final = 127
_MAX_ERROR_BYTES: Final = 2000


def attend(control: socket.socket, walls: Walls, port: int) -> NoReturn:
    """Start the program with the streams that arrive, report how it ended, and end."""
    message, descriptors = wire.receive(control)
    if message["kind"] != "begin":
        os._exit(1)
    brief, *streams = descriptors
    environment = _environment(walls, port) | wire.read_job(brief)["environment"]
    if (refusal := _unusable(walls.mounts)) is not None:
        wire.send(control, {"kind": "refused", "error": refusal})
        os._exit(1)
    wakeup, _ = children.ends()
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # pid 1 is deaf to what it does not handle
    pid = _start(control, walls, environment, streams)
    for descriptor in descriptors:
        os.close(descriptor)
    while True:
        ready, _, _ = select.select([control.fileno(), wakeup], [], [])
        if control.fileno() in ready:  # the gateway says nothing more: it has hung up
            os._exit(0)
        os.read(wakeup, 4096)
        _reap(control, pid)


def _environment(walls: Walls, port: int) -> dict[str, str]:
    """What a program finds set if the operator does not say otherwise."""
    found = walls.environment
    if walls.egress:
        proxy = f"http://127.0.0.1:{port}"
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
            found[name] = proxy
        found["NO_PROXY"] = found["no_proxy"] = "localhost,127.0.0.1"
        found["NODE_USE_ENV_PROXY"] = "1"  # else Node's own fetch does not look at the others
    return found


def _unusable(mounts: Mapping[str, bool]) -> str | None:
    """What is mounted and cannot be used as it was named, said by the kernel to the program's own user."""
    for path, writable in mounts.items():
        enter = os.X_OK if os.path.isdir(path) else 0  # noqa: PTH112 - this side stays free of pathlib
        if not os.access(path, os.R_OK | enter):
            return f"may not read {path}"
        if writable and not os.access(path, os.W_OK):
            return f"may not write to {path}"
    return None


def _start(control: socket.socket, walls: Walls, environment: dict[str, str], streams: list[int]) -> int:
    """Fork and execute; the gateway is told that the program runs, or why it does not."""
    said, saying = os.pipe2(os.O_CLOEXEC)
    pid = os.fork()
    if pid == 0:
        try:
            _become_program(walls, environment, streams, saying)
        finally:
            os._exit(_NOT_STARTED)
    os.close(saying)
    if error := os.read(said, _MAX_ERROR_BYTES):
        wire.send(control, {"kind": "refused", "error": error.decode("utf-8", "replace")})
        os._exit(1)
    os.close(said)
    wire.send(control, {"kind": "started"})
    return pid


def _become_program(walls: Walls, environment: dict[str, str], streams: list[int], saying: int) -> None:
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGCHLD, signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    os.setsid()
    os.umask(0o022)  # what it writes into a mount is for others to read
    for target, stream in enumerate(streams):
        os.dup2(stream, target)
    os.dup2(saying, CONTROL, inheritable=False)  # closes our copy of init's socket as well
    syscalls.close_from(CONTROL + 1)
    seal.limit_files(walls.bounds)
    try:
        os.execvpe(walls.command[0], walls.command, environment)  # noqa: S606 - to start one is the point
    except (OSError, ValueError) as error:
        os.write(CONTROL, f"{walls.command[0]}: {getattr(error, 'strerror', None) or error}".encode())


def _reap(control: socket.socket, program: int) -> None:
    """Collect everything that died, orphans included; end if the program did."""
    for pid, status, _ in children.dead():
        if pid == program:
            number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else None
            code = None if number else os.WEXITSTATUS(status)
            wire.send(control, {"kind": "ended", "exit_code": code, "signal": number})
            os._exit(0)
