"""A deadline that moves, looked after by one timer."""

import asyncio
import socket
import time

from macroslow.web.deadline import Deadline


async def test_it_passes_once_and_not_before() -> None:
    passed = asyncio.Event()
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    Deadline(passed.set).expect(0.05)
    await asyncio.wait_for(passed.wait(), 60)
    assert loop.time() - began_s >= 0.05


async def test_it_moves_and_is_lifted() -> None:
    passed: list[int] = []
    moved, lifted, later = (
        Deadline(lambda: passed.append(1)),
        Deadline(lambda: passed.append(2)),
        asyncio.Event(),
    )
    moved.expect(0.01)
    moved.expect(3600)
    lifted.expect(0.01)
    lifted.lift()
    Deadline(later.set).expect(0.05)
    await asyncio.wait_for(later.wait(), 60)
    assert not passed
    moved.close()


async def test_what_came_while_the_loop_was_busy_is_no_later_than_its_deadline() -> None:
    passed: list[int] = []
    deadline, later = Deadline(lambda: passed.append(1)), asyncio.Event()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        asyncio.get_running_loop().add_reader(ours, deadline.lift)
        deadline.expect(0.01)
        theirs.send(b"x")
        time.sleep(0.05)
        Deadline(later.set).expect(0.05)
        await asyncio.wait_for(later.wait(), 60)
        asyncio.get_running_loop().remove_reader(ours)
    assert not passed
