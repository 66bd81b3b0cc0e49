"""The launcher: runs go on through it, and it starts nothing but what it was told of before its seal."""

import asyncio
import os
import select
import signal
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from macroslow.adapters.sandbox import NATIVE, ProcessSandbox, ZygoteLauncher, profile_of
from macroslow.adapters.sandbox.inside import wire
from macroslow.errors import SandboxUnavailableError
from macroslow.workflow.sandbox import Block, BlockStatus, Job, Limits

PRINT = Job(run_id="a", blocks=(Block("python", "a", "print(6 * 7)"),), inputs={}, limits=Limits())


@pytest.fixture
async def launcher() -> AsyncIterator[ZygoteLauncher]:
    opened = ZygoteLauncher.open({NATIVE: profile_of(NATIVE)})
    yield opened
    await opened.close()


async def test_runs_go_on_through_it_and_a_dead_zygote_is_replaced(launcher: ZygoteLauncher) -> None:
    sandbox = ProcessSandbox(NATIVE, preload=(), launcher=launcher)
    try:
        pids = set()
        for _ in range(2):
            (block,) = (await sandbox.run(PRINT)).blocks
            assert (block.status, block.stdout) == (BlockStatus.OK, "42\n")
            assert sandbox.zygote_pid is not None
            assert parent_of(sandbox.zygote_pid) == launcher_pid(launcher)
            pids.add(sandbox.zygote_pid)
            os.kill(sandbox.zygote_pid, signal.SIGKILL)
            await until_dead(sandbox.zygote_pid)
        assert len(pids) == 2
    finally:
        await sandbox.close()


def launcher_pid(launcher: ZygoteLauncher) -> int:
    assert launcher.process.child is not None
    return launcher.process.child.pid


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


async def until_dead(pid: int) -> None:
    async with asyncio.timeout(60):
        while Path(f"/proc/{pid}").exists():  # and waited for
            await asyncio.sleep(0.01)


async def test_it_ends_with_its_gateway(launcher: ZygoteLauncher) -> None:
    pid = launcher_pid(launcher)
    launcher.process.channel.close()
    await until_dead_child(launcher)
    assert pid


async def until_dead_child(launcher: ZygoteLauncher) -> None:
    async with asyncio.timeout(60):
        while launcher.process.alive:
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    "message",
    [
        {"kind": "start", "name": "sh"},
        {"kind": "start"},
        {"kind": "start", "name": NATIVE, "profile": {"backend": NATIVE, "folders": ["/root"]}},
        {"kind": "start", "name": [NATIVE]},
        {"kind": "start", "name": NATIVE, "folders": ["/"]},
        {"name": "sh", "profile": {"backend": NATIVE, "folders": ["/"], "sys_path": [], "uid": 0}},
        {"kind": "seal"},
        {},
    ],
    ids=range(8),
)
async def test_whatever_is_not_a_name_that_it_was_told_ends_it(
    message: dict[str, object], launcher: ZygoteLauncher
) -> None:
    wire.send(launcher.process.channel, message)
    await until_dead_child(launcher)
    with pytest.raises(EOFError):
        await launcher.start(NATIVE)
    with pytest.raises(SandboxUnavailableError):
        await ProcessSandbox(NATIVE, preload=(), launcher=launcher).run(PRINT)


async def test_a_descriptor_is_not_taken(launcher: ZygoteLauncher) -> None:
    root = os.open("/", os.O_PATH | os.O_CLOEXEC)
    wire.send(launcher.process.channel, {"kind": "start", "name": NATIVE}, [root])
    os.close(root)
    await until_dead_child(launcher)


async def test_what_is_no_message_ends_it(launcher: ZygoteLauncher) -> None:
    launcher.process.channel.send(b"\xff")
    await until_dead_child(launcher)


async def test_a_start_that_nobody_waits_for_leaves_no_zygote(launcher: ZygoteLauncher) -> None:
    pid = launcher_pid(launcher)
    waiting = asyncio.create_task(launcher.start(NATIVE))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    started = await launcher.start(NATIVE)  # after it: one at a time
    started.channel.close()
    async with asyncio.timeout(60):
        while not select.select([started.pidfd], [], [], 0)[0] or children_of(pid):
            await asyncio.sleep(0.01)
    started.forget()


def children_of(pid: int) -> str:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text()


async def test_a_zygote_has_nothing_of_its_launcher_but_its_own_socket(launcher: ZygoteLauncher) -> None:
    first, second = await launcher.start(NATIVE), await launcher.start(NATIVE)
    for started in (first, second):
        message, _ = await asyncio.to_thread(wire.receive, started.channel)
        assert message == {"kind": "ready"}
    first.channel.close()  # were its other end, or a copy of ours, held by the second, it would live on
    async with asyncio.timeout(60):
        while first.alive:
            await asyncio.sleep(0.01)
    assert second.alive
    second.channel.close()
    for started in (first, second):
        started.forget()


def test_our_socket_is_of_the_kind_that_keeps_messages_apart(launcher: ZygoteLauncher) -> None:
    assert launcher.process.channel.type == socket.SOCK_SEQPACKET
