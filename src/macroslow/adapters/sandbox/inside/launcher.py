"""The launcher: starts zygotes by name, for a gateway that may no longer mount anything itself.

Started by exec with an empty environment and one socket, before the gateway restricts itself. It is told then
which zygotes there are, and what each of them is told, until it is sealed; from then on it takes nothing but
names. Whoever takes over the gateway later gets the same walls put up once more, around nothing of his own.

A zygote is a fork: its code was read before the seal, whatever is written over it later.
"""

import os
import select
import signal
import socket
import sys
from collections.abc import Mapping
from typing import Any, NoReturn

from . import children, wire, zygote


def main() -> None:
    """Entry point: argv[2] is the descriptor of the gateway's socket."""
    channel = socket.socket(fileno=int(sys.argv[2]))
    os.umask(0o077)
    os.chdir("/")
    try:
        _serve(channel, _profiles(channel))
    except (EOFError, ValueError, KeyError, TypeError):  # the gateway has gone, or asks for what it would not
        os._exit(0)


def _profiles(channel: socket.socket) -> Mapping[str, Mapping[str, Any]]:
    """What each zygote is told, by name, until the gateway seals it."""
    profiles: dict[str, Mapping[str, Any]] = {}
    while (message := wire.receive(channel)[0]) != {"kind": "seal"}:
        profiles[message["name"]] = message["profile"]
    return profiles


def _serve(channel: socket.socket, profiles: Mapping[str, Mapping[str, Any]]) -> NoReturn:
    wakeup, wakeup_writer = children.ends()
    while True:
        watched: list[Any] = [channel, wakeup]
        ready, _, _ = select.select(watched, [], [])
        if wakeup in ready:
            os.read(wakeup, 4096)
            children.reap()
        if channel in ready:
            message, descriptors = wire.receive(channel)
            if message.keys() != {"kind", "name"} or message["kind"] != "start" or descriptors:
                raise ValueError("this launcher starts zygotes by name")
            _start(channel, profiles[message["name"]], (wakeup, wakeup_writer))


def _start(channel: socket.socket, profile: Mapping[str, Any], own: tuple[int, int]) -> None:
    """Fork one zygote; the gateway gets its socket, in which the profile waits already, and its pidfd."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        wire.send(ours, profile)
        pid = os.fork()
        if pid == 0:
            _become_zygote(theirs, (channel, ours), own)
        pidfd = os.pidfd_open(pid)
        try:
            wire.send(channel, {"kind": "started"}, [ours.fileno(), pidfd])
        finally:
            os.close(pidfd)


def _become_zygote(
    theirs: socket.socket, others: tuple[socket.socket, ...], own: tuple[int, int]
) -> NoReturn:
    """Leave the launcher's code for good."""
    try:
        signal.set_wakeup_fd(-1)
        for each in others:
            each.close()
        for descriptor in own:
            os.close(descriptor)
        os.setsid()
        zygote.run(theirs)
    finally:
        os._exit(1)
