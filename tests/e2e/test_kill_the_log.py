"""The log under kill -9 and failing system calls: nothing acknowledged is lost, no index is used twice, and
every checkpoint that was ever signed is of a prefix of the log that is left.
"""

import asyncio
import base64
import os
import random
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from macroslow.bootstrap.state.core import open_core
from macroslow.services.audit.verify_log import VerifyLog
from macroslow.settings.load import load
from macroslow.tlog.tree import verify_consistency

VICTIM = Path(__file__).with_name("log_victim.py")
REPOSITORY = Path(__file__).parents[2]
FOR_EVER = 10**9
INJECTED = {
    "fdatasync": ("EIO 2", "ENOSPC 3", "EIO 10", "ENOSPC 37"),
    "pwrite64": ("ENOSPC 2", "EIO 3", "ENOSPC 10", "EIO 37"),
    "write": ("EIO 3", "ENOSPC 10"),
    "fsync": ("EIO 1", "ENOSPC 2"),
    "ftruncate": ("EIO 1",),
}
"""System calls, how each fails and at which time of a thread: some are made a few times only."""
ENTRIES = 300


@dataclass
class Said:
    """What the victims were promised before they ended."""

    leaves: dict[int, bytes] = field(default_factory=dict)
    roots: dict[int, bytes] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)
    ended: int = 0

    def hear(self, line: str) -> None:
        match line.split(maxsplit=2):
            case ["entry", index, leaf]:
                assert int(index) not in self.leaves, "an index was given twice"
                self.leaves[int(index)] = base64.b64decode(leaf)
            case ["checkpoint", size, root]:
                decoded = base64.b64decode(root)
                assert self.roots.setdefault(int(size), decoded) == decoded, (
                    "two trees of one size were signed"
                )
            case ["failed", *why]:
                self.failed.append(" ".join(why))
            case ["ended"]:
                self.ended += 1
            case _:
                raise AssertionError(f"not a line of the victim: {line!r}")


def house(tmp_path: Path) -> Path:
    """The configuration of a gateway whose mark of signed trees lies outside its state folder."""
    file = tmp_path / "gateway" / "macroslow.toml"
    file.parent.mkdir()
    file.write_text("[log]\ndisk_reserve_mib = 0\n")
    return file


def environment(tmp_path: Path) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(REPOSITORY),
        "XDG_STATE_HOME": str(tmp_path / "outside"),
        "HOME": str(tmp_path),
    }


@pytest.fixture
def configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "outside"))
    return house(tmp_path)


def run_and_kill(configuration: Path, after_lines: int, said: Said) -> None:
    """Start a victim, hear so many lines, kill it and everything it began, and hear what it had said."""
    with subprocess.Popen(
        [sys.executable, str(VICTIM), str(configuration), str(FOR_EVER)],
        stdout=subprocess.PIPE,
        text=True,
        env=environment(configuration.parents[1]),
        start_new_session=True,
    ) as victim:
        assert victim.stdout is not None
        for _ in range(after_lines):
            said.hear(victim.stdout.readline())
        os.killpg(victim.pid, signal.SIGKILL)
        for line in victim.stdout:
            said.hear(line)
    assert victim.returncode == -signal.SIGKILL


async def check(configuration: Path, said: Said) -> None:
    """Open what is left and hold it against all that was said."""
    async with open_core(load(configuration, {})) as core:
        head = await core.books.head()
        leaves = await core.books.leaves(0, head.size)
        assert {index: leaves[index] for index in said.leaves} == said.leaves
        for size, root in said.roots.items():
            assert size <= head.size, "entries under a signed checkpoint are gone"
            proof = await core.books.consistency_proof(size, head.size)
            verify_consistency(size, root, head.size, head.root, proof)
        found = await VerifyLog(core.books, core.signer.keys.current)()
        assert found.entries == head.size


def test_a_few_kills_lose_nothing_and_fork_nothing(configuration: Path) -> None:
    kill_again_and_again(configuration, rounds=3)


@pytest.mark.sweep
@pytest.mark.timeout(900)
def test_a_hundred_kills_lose_nothing_and_fork_nothing(configuration: Path) -> None:
    kill_again_and_again(configuration, rounds=100)


def kill_again_and_again(configuration: Path, rounds: int) -> None:
    said, chance = Said(), random.Random(rounds)
    for number in range(rounds):
        run_and_kill(configuration, chance.randint(20, 400), said)
        if number % 10 == 9 or number == rounds - 1:
            asyncio.run(check(configuration, said))
    assert len(said.leaves) > 50 * rounds
    assert len(said.roots) > rounds
    assert said.failed == []


@pytest.mark.sweep
@pytest.mark.timeout(600)
@pytest.mark.parametrize("call", INJECTED)
def test_a_failing_system_call_loses_nothing_that_was_acknowledged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    """Each call fails at its 2nd, 10th … time, on a new log and on what that left; then none does."""
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("needs strace (apt-get install strace)")
    for how in INJECTED[call]:
        place = tmp_path / how
        place.mkdir()
        monkeypatch.setenv("XDG_STATE_HOME", str(place / "outside"))
        configuration, said = house(place), Said()
        error, when = how.split()
        fault = f"{call}:error={error}:when={when}"
        injected = [inject(strace, configuration, fault, said) for _ in range(2)]
        assert any(injected), f"{fault} never happened"
        run_whole(configuration, said)
        asyncio.run(check(configuration, said))


def inject(strace: str, configuration: Path, fault: str, said: Said) -> bool:
    """Run a victim whose system calls fail as `fault` says, until it has tried enough or gives up.

    Whether any did fail.
    """
    log = configuration.with_name("strace.log")
    options = ["-f", "-qq", "-o", str(log), "-e", f"trace={fault.partition(':')[0]}", "-e", f"inject={fault}"]
    done = victim(configuration, strace, *options)
    for line in done.stdout.splitlines():
        said.hear(line)
    return "INJECTED" in log.read_text()


def run_whole(configuration: Path, said: Said) -> None:
    """Run a victim to its end, with nothing in its way."""
    done = victim(configuration)
    for line in done.stdout.splitlines():
        said.hear(line)
    assert done.returncode == 0, done.stderr[-2000:]
    assert said.ended


def victim(configuration: Path, *under: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*under, sys.executable, str(VICTIM), str(configuration), str(ENTRIES)],
        capture_output=True,
        text=True,
        env=environment(configuration.parents[1]),
        check=False,
        timeout=120,
    )
