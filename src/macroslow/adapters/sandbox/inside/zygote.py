"""The zygote: an interpreter that loads once what its runs share, knows no secret and forks each run.

Started by exec with an empty environment and one socket, or forked by the launcher; single-threaded,
since a fork of a threaded process may inherit a lock that nobody will ever open. When the gateway hangs up it
ends, and with it (it is pid 1 of its own namespace) everything that it started.
"""

import contextlib
import os
import select
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final, NoReturn

from . import children, init, namespaces, seal, syscalls, walls, warm, wire

_WORKS_WITHOUT: Final = -1


def main() -> None:
    """Entry point: argv[2] is the descriptor of the gateway's socket."""
    run(socket.socket(fileno=int(sys.argv[2])))


def run(channel: socket.socket) -> None:
    """Be the zygote that the first message asks for, until the gateway hangs up."""
    config, _ = wire.receive(channel)
    _reset_process(config["sys_path"])
    try:
        own_namespace = _enter(config)
    except OSError as error:
        wire.send(channel, {"kind": "failed", "error": _words(error)})
        os._exit(1)
    wire.send(channel, {"kind": "ready"})
    _serve(channel, config, own_namespace)


def _words(error: OSError) -> str:
    """The error as one line: which step, which file, what the system said."""
    return f"{error.strerror} ({error.filename})" if error.filename else str(error.strerror)


def _reset_process(sys_path: list[str]) -> None:
    """Shed what the gateway's process may have passed on."""
    os.umask(0o022)  # the jail is built by root and read by another
    os.chdir("/")
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    seal.keep_sending()
    sys.dont_write_bytecode = True
    sys.path[:] = [*sys.path[1:], *(path for path in sys_path if path not in sys.path)]


def _enter(config: Mapping[str, Any]) -> int:
    """Take our place; returns a descriptor of the zygote's own pid namespace (native), or -1."""
    if config["backend"] != wire.NATIVE:
        if os.geteuid() == 0:
            namespaces.become(config["uid"])
        syscalls.prctl(syscalls.PR_SET_CHILD_SUBREAPER, 1)
        syscalls.prctl(syscalls.PR_SET_DUMPABLE, 0)
        return _WORKS_WITHOUT
    pid = namespaces.enter_jail(config["folders"], config.get("mounts", {}), config["uid"])
    if pid:
        # The gateway's own child: it stays as the handle by which the jail can be waited for.
        syscalls.close_from(0)
        os._exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) & 0xFF)
    return os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)


def _serve(channel: socket.socket, config: Mapping[str, Any], own_namespace: int) -> None:
    wakeup, _ = children.ends()
    while True:
        watched: list[Any] = [channel, wakeup]
        ready, _, _ = select.select(watched, [], [])
        if wakeup in ready:
            os.read(wakeup, 4096)
        children.reap()
        if channel in ready:
            try:
                message, descriptors = wire.receive(channel)
            except EOFError:
                os._exit(0)
            if message["kind"] == "warm":
                warm.warm(message["modules"])
            else:
                _spawn(descriptors, config, message, own_namespace)


def _become_init(control: int, door: Sequence[int], around: walls.Walls) -> NoReturn:
    """Leave the zygote's code for good: whatever happens, the fork never returns to its loop."""
    try:
        for group in door:
            os.write(group, b"0")  # into the run's memory group, before any of it is used
        signal.set_wakeup_fd(-1)
        warm.reseed()
        init.main(control, around)
    finally:
        os._exit(1)


def _spawn(
    descriptors: Sequence[int], config: Mapping[str, Any], message: Mapping[str, Any], own_namespace: int
) -> None:
    """Fork one run; tell the gateway its pidfd over the run's own socket."""
    native = config["backend"] == wire.NATIVE
    control, *door = descriptors
    around = _walls(config, message)
    with socket.socket(fileno=control) as gateway, contextlib.ExitStack() as stack:
        for group in door:
            stack.callback(os.close, group)
        try:
            if native:
                syscalls.unshare(syscalls.NEW_PID, "pid")
            pid = os.fork()
            if pid == 0:
                _become_init(gateway.detach(), door, around)
            if native:
                syscalls.setns(own_namespace, syscalls.NEW_PID)
            pidfd = os.pidfd_open(pid)
            wire.send(gateway, {"kind": "forked"}, [pidfd])
            os.close(pidfd)
        except OSError as error:
            with contextlib.suppress(OSError):  # a gateway that gave up the run meanwhile
                wire.send(gateway, {"kind": "failed", "error": _words(error)})


def _walls(config: Mapping[str, Any], message: Mapping[str, Any]) -> walls.Walls:
    """Of a run, what the gateway asks for; of a box, what was settled when this zygote started."""
    wanted = message if "command" not in config else {**config, "shared_memory": message["shared_memory"]}
    return walls.Walls(
        native=config["backend"] == wire.NATIVE,
        bounds=seal.Bounds.read(wanted),
        egress=bool(wanted["egress"]),
        shared_memory=bool(wanted["shared_memory"]),
        cell=bool(wanted.get("cell")),
        folders=tuple(config["folders"]),
        work=wanted.get("work") or namespaces.WORK,
        port=int(wanted.get("port", 0)),
        command=tuple(config.get("command", ())),
        mounts=config.get("mounts", {}),
    )
