"""What is left when a run ends, however it ends; and a zygote that dies, ages or never starts."""

import asyncio
import contextlib
import gc
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from macroslow.adapters.sandbox import NATIVE, NoSandbox, ProcessSandbox, choose, probe
from macroslow.adapters.sandbox._meter import _tree
from macroslow.adapters.sandbox._profile import folders
from macroslow.adapters.sandbox._zygote import Zygote
from macroslow.errors import SandboxUnavailableError
from macroslow.workflow.sandbox import Block, BlockStatus, Job, Level, Limits, Outcome


def job(code: str, language: str = "python", **more: object) -> Job:
    return Job("r", (Block(language, "one", code),), {}, **more)  # type: ignore[arg-type]


@pytest.fixture
async def sandbox() -> AsyncIterator[ProcessSandbox]:
    started = ProcessSandbox(NATIVE, preload=())
    try:
        await started.run(job("print(1)"))
    except SandboxUnavailableError as error:
        pytest.skip(error.detail)
    yield started
    await started.close()


def state(pid: int) -> str:
    """The kernel's letter for a process, or "gone"."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "gone"


neighbours: set[int] = set()
"""Children that were there when the test began: servers of other tests, whose own children come and go."""


def children() -> set[int]:
    """Processes that a thread of this one started; a thread may end while we look."""
    found: set[int] = set()
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(OSError):
            found.update(map(int, (task / "children").read_text().split()))
    return found


@pytest.fixture(autouse=True)
def _neighbours_are_known() -> None:
    neighbours.clear()
    neighbours.update(children())


def below() -> Iterator[int]:
    """The processes that the test has below this one."""
    for child in children() - neighbours:
        yield from (pid for pid, _ in _tree(child))


def living() -> int:
    """Processes below this one that are not merely waiting to be collected."""
    return sum(state(pid) not in {"Z", "gone"} for pid in below())


def footprint() -> dict[str, object]:
    """What this process and the machine hold on its behalf."""
    return {
        "descriptors": len(list(Path("/proc/self/fd").iterdir())),
        "processes": sum(1 for _ in below()),
        "mounts": len(Path("/proc/self/mountinfo").read_text().splitlines()),
        "groups": groups(),
    }


def groups() -> list[str]:
    """The memory groups of this process's runs. Those of others go while we look, which `os.walk` bears."""
    own = f"macroslow-{os.getpid()}-"
    return sorted(
        f"{parent}/{name}" for parent, names, _ in os.walk("/sys/fs/cgroup") for name in names if own in name
    )


async def settled_footprint() -> dict[str, object]:
    gc.collect()  # or what an earlier test left to the collector would be closed meanwhile
    before, after = None, footprint()
    while before != after:
        await asyncio.sleep(0.05)
        before, after = after, footprint()
    return after


async def footprint_becomes(expected: dict[str, object]) -> bool:
    """Whether that is at last all there is: the zygote collects its dead a moment after their end."""
    for _ in range(500):
        if footprint() == expected:
            return True
        await asyncio.sleep(0.02)
    return False


async def test_fifty_runs_leave_nothing(sandbox: ProcessSandbox) -> None:
    # Once more before we look: the first run loads what later ones share.
    leave_a_daemon = "import os, time\nif os.fork() == 0:\n  os.setsid()\n  time.sleep(60)\nprint(1)"
    await asyncio.gather(*(sandbox.run(job(leave_a_daemon)) for _ in range(5)))
    before = await settled_footprint()
    for _ in range(10):
        await asyncio.gather(*(sandbox.run(job(leave_a_daemon)) for _ in range(5)))
    assert await footprint_becomes(before), (before, footprint())
    assert before["groups"] == []


async def test_a_cancelled_run_is_dead_when_its_caller_goes_on(sandbox: ProcessSandbox) -> None:
    before, alive = await settled_footprint(), living()
    code = "import os, time\nfor _ in range(20):\n  if os.fork() == 0: break\nwhile True: pass"
    running = asyncio.create_task(sandbox.run(job(code)))
    while living() < alive + 20:
        await asyncio.sleep(0.01)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert living() == alive
    assert await footprint_becomes(before), (before, footprint())


async def test_a_run_cancelled_while_it_starts_leaves_nothing(sandbox: ProcessSandbox) -> None:
    before = await settled_footprint()
    for turns in range(12):
        running = asyncio.create_task(sandbox.run(job("import time; time.sleep(60)")))
        for _ in range(turns):
            await asyncio.sleep(0.001)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
    await sandbox.run(job("print(1)"))
    assert await footprint_becomes(before), (before, footprint())


async def test_a_dead_zygote_is_replaced(sandbox: ProcessSandbox) -> None:
    first = sandbox.zygote_pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    os.waitid(os.P_PID, first, os.WEXITED | os.WNOWAIT)
    outcomes = await asyncio.gather(*(sandbox.run(job("print(2)")) for _ in range(4)))
    assert [outcome.blocks[0].stdout for outcome in outcomes] == ["2\n"] * 4
    assert sandbox.zygote_pid not in {first, None}


async def test_a_zygote_that_dies_under_a_run_is_no_fault_of_the_document(sandbox: ProcessSandbox) -> None:
    running = asyncio.create_task(sandbox.run(job("import time; time.sleep(60)")))
    first = sandbox.zygote_pid
    assert first is not None
    while sum(1 for _ in _tree(first)) < 4:
        await asyncio.sleep(0.01)
    os.kill(first, signal.SIGKILL)
    with pytest.raises(SandboxUnavailableError):
        await running
    assert (await sandbox.run(job("print(3)"))).blocks[0].stdout == "3\n"


async def test_a_zygote_is_replaced_after_so_many_runs_and_its_last_runs_end_in_peace() -> None:
    before = living()
    sandbox = ProcessSandbox(NATIVE, preload=(), runs_per_zygote=2)
    try:
        slow = asyncio.create_task(sandbox.run(job("import time; time.sleep(0.8); print('late')")))
        seen = set()
        for _ in range(5):
            await sandbox.run(job("print(1)"))
            seen.add(sandbox.zygote_pid)
        assert len(seen) == 3
        assert (await slow).blocks[0].stdout == "late\n"
    except SandboxUnavailableError as error:
        pytest.skip(error.detail)
    finally:
        await sandbox.close()
    assert living() == before


async def test_a_closed_sandbox_refuses(sandbox: ProcessSandbox) -> None:
    await sandbox.close()
    with pytest.raises(SandboxUnavailableError):
        await sandbox.run(job("print(1)"))


@pytest.mark.parametrize("pauses", [1, 2, 5])
async def test_a_sandbox_that_is_closed_while_its_zygote_starts_leaves_none(pauses: int) -> None:
    before, sandbox = living(), ProcessSandbox(NATIVE, preload=())
    running = asyncio.create_task(sandbox.run(job("print(1)")))
    for _ in range(pauses):
        await asyncio.sleep(0)
    await sandbox.close()
    with pytest.raises(SandboxUnavailableError):
        await running
    assert living() == before


async def test_a_zygote_whose_first_taker_leaves_while_the_old_one_ends_is_not_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before, sandbox = living(), ProcessSandbox(NATIVE, preload=(), runs_per_zygote=1)
    closing, close = asyncio.Event(), Zygote.close

    async def told(zygote: Zygote) -> None:
        closing.set()
        await close(zygote)

    monkeypatch.setattr(Zygote, "close", told)
    try:
        await sandbox.run(job("print(1)"))
        running = asyncio.create_task(sandbox.run(job("print(2)")))
        await closing.wait()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
    except SandboxUnavailableError as error:
        pytest.skip(error.detail)
    finally:
        await sandbox.close()
    assert living() == before


async def test_what_cannot_be_run_is_refused_before_anything_starts(sandbox: ProcessSandbox) -> None:
    with pytest.raises(ValueError, match="cobol"):
        await sandbox.run(job("", "cobol"))
    with pytest.raises(ValueError, match="egress"):
        await sandbox.run(job("", wants_egress=True))


async def test_the_egress_is_served_just_as_long_as_the_run_lives(sandbox: ProcessSandbox) -> None:
    before, story = await settled_footprint(), list[str]()

    @contextlib.asynccontextmanager
    async def serve(listener: socket.socket) -> AsyncIterator[None]:
        story.append("open")
        assert listener.family == socket.AF_INET
        yield
        story.append(f"closed, {living() - alive} more alive")

    alive = living()
    outcome = await sandbox.run(job("print(1)", wants_egress=True), serve)
    assert outcome.blocks[0].status is BlockStatus.OK
    assert story == ["open", "closed, 0 more alive"]
    assert await footprint_becomes(before), (before, footprint())


async def test_an_egress_that_cannot_be_served_ends_the_run(sandbox: ProcessSandbox) -> None:
    before = await settled_footprint()

    @contextlib.asynccontextmanager
    async def serve(_listener: socket.socket) -> AsyncIterator[None]:
        raise SandboxUnavailableError("no room")
        yield

    with pytest.raises(SandboxUnavailableError, match="no room"):
        await sandbox.run(job("print(1)", wants_egress=True), serve)
    assert await footprint_becomes(before), (before, footprint())


async def test_code_of_a_megabyte_and_many_runs_at_once(sandbox: ProcessSandbox) -> None:
    long = "# " + "x" * 1_000_000 + "\nprint(1)"
    shell = ": " + "x" * 1_000_000 + "\necho 1"
    outcomes: list[Outcome] = await asyncio.gather(
        *(sandbox.run(job(code, language)) for code, language in [(long, "python"), (shell, "bash")] * 4)
    )
    assert {outcome.blocks[0].stdout for outcome in outcomes} == {"1\n"}


async def test_the_strongest_sandbox_that_works_is_chosen_and_none_refuses() -> None:
    reports = await probe()
    assert [report.backend for report in reports] == ["native", "landlock"]
    for report in reports:
        assert report.works == (not report.reason)
        assert report.works or report.repair
    chosen = await choose()
    working = [report for report in reports if report.works]
    assert (chosen.backend, chosen.level) == (
        (working[0].backend, working[0].level) if working else ("none", Level.NONE)
    )
    await chosen.close()
    with pytest.raises(ValueError, match="gvisor"):
        await choose(preferred="gvisor")


async def test_no_sandbox_says_why_and_how_to_mend_it() -> None:
    sandbox = NoSandbox("native: unshare(user): Operation not permitted", "sysctl -w …")
    assert sandbox.level is Level.NONE
    with pytest.raises(SandboxUnavailableError) as refusal:
        await sandbox.run(job("print(1)"))
    assert "unshare(user)" in refusal.value.detail
    assert refusal.value.fix == "sysctl -w …"
    assert (await choose(preferred="none")).level is Level.NONE


async def test_limits_that_the_kernel_refuses_are_an_error_of_the_sandbox(sandbox: ProcessSandbox) -> None:
    with pytest.raises(SandboxUnavailableError):
        await sandbox.run(job("print(1)", limits=Limits(file_bytes=-1)))


@pytest.fixture
async def pooled() -> AsyncIterator[ProcessSandbox]:
    started = ProcessSandbox(NATIVE, preload=("colorsys",))
    started.keep_spares(2)
    try:
        await started.run(job("print(1)"))
    except SandboxUnavailableError as error:
        pytest.skip(error.detail)
    yield started
    await started.close()


async def spares_become(sandbox: ProcessSandbox, count: int) -> list[int]:
    """Wait for the refill; return the ids of the spares' inits."""
    while len(found := sandbox.spare_pids) != count:
        await asyncio.sleep(0.01)
    return found


async def test_a_spare_sandbox_serves_one_job_and_is_replaced(pooled: ProcessSandbox) -> None:
    first = await spares_become(pooled, 2)
    outcome = await pooled.run(job("import os; print(os.environ['X'])", environment={"X": "given late"}))
    assert outcome.blocks[0].stdout == "given late\n"
    second = await spares_become(pooled, 2)
    assert len({*first, *second}) == 3


async def test_a_dead_spare_and_one_of_other_limits_are_not_used(pooled: ProcessSandbox) -> None:
    for pid in await spares_become(pooled, 2):
        os.kill(pid, signal.SIGKILL)
        while state(pid) not in {"Z", "gone"}:
            await asyncio.sleep(0.01)
    assert (await pooled.run(job("print(4)"))).blocks[0].stdout == "4\n"
    await spares_become(pooled, 2)
    code = "import resource; print(resource.getrlimit(resource.RLIMIT_NOFILE)[0])"
    outcome = await pooled.run(job(code, limits=Limits(open_files_per_process=77)))
    assert outcome.blocks[0].stdout == "77\n"


async def test_a_spare_gives_no_way_out_to_a_job_that_asks_for_none(pooled: ProcessSandbox) -> None:
    await spares_become(pooled, 2)
    code = (
        "import os, socket\n"
        "for port in range(32768, 61000):\n"
        "    with socket.socket() as way:\n"
        "        if way.connect_ex(('127.0.0.1', port)) == 0:\n"
        "            assert way.getsockname() == way.getpeername()  # TCP met itself\n"
    )
    outcome = await pooled.run(job(code + "print(sorted(os.environ), apis)", apis={"x": "/x"}))
    assert outcome.blocks[0].status is BlockStatus.OK, outcome
    assert "MAML_API" not in outcome.blocks[0].stdout
    assert outcome.blocks[0].stdout.endswith(" {}\n")


async def test_a_module_is_loaded_ahead_once_a_job_has_named_it_and_not_before(
    pooled: ProcessSandbox,
) -> None:
    await spares_become(pooled, 2)
    unnamed = job("import sys; print('color' + 'sys' in sys.modules)")
    assert (await pooled.run(unnamed)).blocks[0].stdout == "False\n"
    await spares_become(pooled, 2)
    named = job("import sys; print('colorsys' in sys.modules)")
    assert (await pooled.run(named)).blocks[0].stdout == "True\n"
    assert (await pooled.run(unnamed)).blocks[0].stdout == "True\n"


async def test_a_zygote_that_takes_the_place_of_another_loads_what_a_job_has_named() -> None:
    sandbox = ProcessSandbox(NATIVE, preload=("colorsys",), runs_per_zygote=1)
    try:
        await sandbox.run(job("import colorsys"))
        first = sandbox.zygote_pid
        outcome = await sandbox.run(job("import sys; print('color' + 'sys' in sys.modules)"))
        assert sandbox.zygote_pid != first
    except SandboxUnavailableError as error:
        pytest.skip(error.detail)
    finally:
        await sandbox.close()
    assert outcome.blocks[0].stdout == "True\n"


async def test_spares_end_with_the_sandbox() -> None:
    before = await settled_footprint()
    sandbox = ProcessSandbox(NATIVE, preload=())
    sandbox.keep_spares(3)
    try:
        await asyncio.gather(*(sandbox.run(job("print(1)")) for _ in range(4)))
    except SandboxUnavailableError as error:
        pytest.skip(error.detail)
    finally:
        await sandbox.close()
    # The event loop's threads for removing groups may stay; nothing else does.
    assert await footprint_becomes(before | {"descriptors": footprint()["descriptors"]}), (
        before,
        footprint(),
    )


HOLDS_DESCRIPTORS = """
import os, socket, time
pairs = []
try:
    while True:
        pairs.append(socket.socketpair())
        socket.send_fds(pairs[-1][0], [b"x"], [0] * 100)
except OSError:
    socket.create_connection(("127.0.0.1", int(os.environ["PORT"])))
time.sleep(60)
"""


async def test_descriptors_that_a_run_holds_under_way_keep_no_other_run_from_starting(
    sandbox: ProcessSandbox,
) -> None:
    holds = asyncio.Event()

    @contextlib.asynccontextmanager
    async def note(listener: socket.socket) -> AsyncIterator[None]:
        async def noted(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            holds.set()
            writer.close()

        async with await asyncio.start_server(noted, sock=listener):
            yield

    hostile = job(HOLDS_DESCRIPTORS, environment={"PORT": "{port}"}, wants_egress=True)
    holder = asyncio.create_task(sandbox.run(hostile, note))
    async with asyncio.timeout(60):
        await holds.wait()
    outcome = await sandbox.run(
        Job("r", (Block("python", "a", "print(1)"), Block("bash", "b", "echo 2")), {})
    )
    assert [block.stdout for block in outcome.blocks] == ["1\n", "2\n"]
    holder.cancel()
    await asyncio.gather(holder, return_exceptions=True)


def test_an_interpreter_in_a_home_opens_its_own_folders_and_not_the_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("bin", "lib", ".ssh", "gateway"):
        (tmp_path / name).mkdir()
    monkeypatch.setattr(sys, "base_prefix", str(tmp_path))
    opened = [path for path in folders() if Path(path).is_relative_to(tmp_path)]
    assert opened == [str(tmp_path / "bin"), str(tmp_path / "lib")]
    assert str(tmp_path.anchor) not in folders()
