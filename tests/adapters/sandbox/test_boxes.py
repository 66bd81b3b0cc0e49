"""Boxes in ordinary life: started, started again, refused, and gone with their gateway."""

import asyncio
import contextlib
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from macroslow.adapters.sandbox._boxes import Boxes
from macroslow.adapters.sandbox._stderr import Ring, clean
from macroslow.errors import SandboxUnavailableError
from macroslow.workflow.box import BoxLimits, Mount, Program

Make = Callable[..., Boxes]
TOLD_S = 20.0


@pytest.fixture
async def boxes_of(box_python: Any) -> AsyncIterator[Make]:
    python, mounts = box_python
    made: list[Boxes] = []

    def make(
        code: str = "", *, command: tuple[str, ...] = (), own: tuple[Mount, ...] = (), **limits: Any
    ) -> Boxes:
        program = Program("tested", command or (*python, code), mounts + own, limits=BoxLimits(**limits))
        made.append(Boxes(program))
        return made[-1]

    yield make
    for boxes in made:
        await boxes.close()


DEAF = """
import signal, time
for number in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}:
    signal.signal(number, signal.SIG_IGN)
print(1, flush=True)
time.sleep(300)
"""


async def all_of(box: Any) -> bytes:
    said = b""
    while chunk := await box.read(65536):
        said += chunk
    return said


ECHO = "import sys\nfor line in sys.stdin: print(line.upper(), end='', flush=True)"


async def test_a_program_reads_and_writes_until_it_is_hung_up_on(boxes_of: Make) -> None:
    box = await boxes_of(ECHO).start({})
    for word in (b"one\n", b"two\n"):
        await box.write(word)
        assert await box.read(100) == word.upper()
    box.hang_up()
    assert await all_of(box) == b""
    assert await box.ended() == "it ended with exit code 0"
    await box.close()


async def test_each_start_is_fresh_and_has_the_environment_of_its_own(boxes_of: Make) -> None:
    boxes = boxes_of("import os; print(os.listdir('/maml/.tmp'), os.environ['N']); open('/tmp/left', 'w')")
    for number in ("1", "2"):
        box = await boxes.start({"N": number})
        assert await all_of(box) == f"[] {number}\n".encode()
        await box.close()


async def test_a_command_that_is_not_there_is_said_by_name(boxes_of: Make) -> None:
    boxes = boxes_of(command=("no-such-server", "--now"))
    with pytest.raises(SandboxUnavailableError, match="no-such-server: No such file or directory"):
        await boxes.start({})


async def test_a_mount_that_the_programs_user_may_not_read_or_write_is_said(
    boxes_of: Make, tmp_path: Path
) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o000 if os.geteuid() else 0o700)
    with pytest.raises(SandboxUnavailableError, match=f"may not read {closed}"):
        await boxes_of(ECHO, own=(Mount(str(closed), writable=False),)).start({})
    shut = tmp_path / "shut"
    shut.mkdir()
    shut.chmod(0o555)
    with pytest.raises(SandboxUnavailableError, match=f"may not write to {shut}"):
        await boxes_of(ECHO, own=(Mount(str(shut), writable=True),)).start({})


async def test_one_file_can_be_shown(boxes_of: Make, tmp_path: Path) -> None:
    (tmp_path / "page").write_text("to be read")
    code = f"import os; print(open({str(tmp_path / 'page')!r}).read(), os.listdir({str(tmp_path)!r}))"
    box = await boxes_of(code, own=(Mount(str(tmp_path / "page"), writable=False),)).start({})
    assert await all_of(box) == b"to be read ['page']\n"
    await box.close()


async def test_scratch_space_is_bounded(boxes_of: Make) -> None:
    code = """
for path in ("/tmp/a", "/maml/b"):
    try:
        with open(path, "wb") as file:
            while True:
                file.write(bytes(1024 * 1024))
    except OSError as error:
        print(error.errno)
"""
    box = await boxes_of(code, scratch_bytes=8 * 1024 * 1024).start({})
    assert set((await all_of(box)).split()) <= {b"27", b"28"}  # EFBIG, ENOSPC
    await box.close()


async def test_closing_ends_a_program_that_does_not_want_to_end(boxes_of: Make) -> None:
    box = await boxes_of(DEAF).start({})
    await box.read(10)
    pidfd = os.pidfd_open(box.process.pid)
    await box.close()
    async with asyncio.timeout(TOLD_S):
        await asyncio.to_thread(_wait_for, pidfd)


def _wait_for(pidfd: int) -> None:
    select.select([pidfd], [], [], TOLD_S)
    os.close(pidfd)


async def test_a_program_outlives_neither_its_zygote_nor_a_second_start_fails_for_it(boxes_of: Make) -> None:
    boxes = boxes_of(ECHO)
    box = await boxes.start({})
    assert boxes._zygote is not None
    signal.pidfd_send_signal(boxes._zygote.process.pidfd, signal.SIGKILL)
    async with asyncio.timeout(TOLD_S):
        assert await all_of(box) == b""
        assert await box.ended() == "its box was ended"
    await box.close()
    again = await boxes.start({})
    await again.write(b"still\n")
    assert await again.read(100) == b"STILL\n"
    await again.close()


async def test_starts_that_end_fail_or_are_given_up_leave_no_descriptor(boxes_of: Make) -> None:
    good, absent = boxes_of(ECHO), boxes_of(command=("no-such-server",))
    await (await good.start({})).close()
    with pytest.raises(SandboxUnavailableError):
        await absent.start({})
    before = len(list(Path("/proc/self/fd").iterdir()))
    for pauses in (0, 1, 2, 4, 8, 16, 1000):
        starting = asyncio.create_task(good.start({}))
        for _ in range(pauses):
            if starting.done():
                break
            await asyncio.sleep(0)
        starting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await (await starting).close()
        with pytest.raises(SandboxUnavailableError):
            await absent.start({})
    assert len(list(Path("/proc/self/fd").iterdir())) == before


GATEWAY = """
import asyncio, json, sys
from macroslow.adapters.sandbox._boxes import Boxes
from macroslow.workflow.box import Mount, Program

async def main():
    command, mounts = json.loads(sys.argv[1])
    boxes = Boxes(Program("tested", tuple(command), tuple(Mount(path, False) for path in mounts)))
    box = await boxes.start({})
    await box.read(10)
    print(box.process.pid, boxes._zygote.process.child.pid, flush=True)
    await asyncio.sleep(300)

asyncio.run(main())
"""


def test_n27_when_the_gateway_is_killed_everything_in_a_box_dies(box_python: Any) -> None:
    (python, mounts), hangs = box_python, "import os, time\nos.fork()\nprint(1, flush=True)\ntime.sleep(300)"
    given = json.dumps([[*python, hangs], [mount.path for mount in mounts]])
    gateway = subprocess.Popen([sys.executable, "-c", GATEWAY, given], stdout=subprocess.PIPE, text=True)
    assert gateway.stdout is not None
    pidfds = [os.pidfd_open(int(pid)) for pid in gateway.stdout.readline().split()]
    assert len(pidfds) == 2
    gateway.kill()
    gateway.wait()
    gateway.stdout.close()
    for pidfd in pidfds:  # init and zygote: with an init the kernel ends all of its namespace
        assert select.select([pidfd], [], [], TOLD_S)[0]
        os.close(pidfd)


def test_what_a_program_says_of_itself_can_do_nothing_to_a_terminal() -> None:
    assert clean("\x1b[2Jred \u202e\u200b\r\x07 ä\t") == "?[2Jred ???? ä?"
    ring = Ring("tested", ("a-secret", "info"))
    ring.take(b"x" * 100_000)
    ring.take(b"\nlast\n\xff words a-secret\ninfo\n \n")
    assert ring.last == "last | \ufffd words [hidden] | info"
    assert len(ring.last) < 2000
    assert len(ring._kept) <= 32 * 1024
