"""Waiting for the other side of a descriptor or a socket in the event loop, and what is handed over there."""

import asyncio
import fcntl
import os
import select
import socket
from collections.abc import Callable, Coroutine
from typing import Any

from macroslow.adapters.sandbox.inside import wire


async def wait_readable(descriptor: int) -> None:
    """Return once `descriptor` can be read, or its other side has gone."""
    loop = asyncio.get_running_loop()
    await _wait(loop.add_reader, loop.remove_reader, descriptor)


async def wait_writable(descriptor: int) -> None:
    """Return once `descriptor` takes more, or its other side has gone."""
    loop = asyncio.get_running_loop()
    await _wait(loop.add_writer, loop.remove_writer, descriptor)


async def _wait(add: Callable[..., None], remove: Callable[[int], bool], descriptor: int) -> None:
    ready = asyncio.Event()
    add(descriptor, ready.set)
    try:
        await ready.wait()
    finally:
        remove(descriptor)


def is_readable(descriptor: int) -> bool:
    """Whether it can be read now: a pidfd, whether its process is dead."""
    return bool(select.select([descriptor], [], [], 0)[0])


async def undisturbed(cleaning: Coroutine[Any, Any, None]) -> None:
    """Do all of `cleaning` even if the caller is cancelled, once or more, and only then let that be known."""
    task = asyncio.ensure_future(cleaning)
    cancelled = False
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError:
            cancelled = True
    task.result()
    if cancelled:
        raise asyncio.CancelledError


async def receive(channel: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """Return the next message from the other side; see `wire.receive`."""
    await wait_readable(channel.fileno())
    return wire.receive(channel)


def sealed_file(data: bytes) -> int:
    """A descriptor of memory that holds `data` and can never be written again."""
    descriptor = os.memfd_create("job", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
    os.lseek(descriptor, 0, os.SEEK_SET)
    seals = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, seals)
    return descriptor
