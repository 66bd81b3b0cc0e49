"""A change of the log's key, killed with all its threads at each moment that matters: before and after every
write, rename and sync. Whoever pinned the first key is led to the one that signs, and nothing is lost.
"""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
from tests.e2e.conftest import MACROSLOW, Site, make_site

from macroslow.tlog.checkpoint import LogPublicKey
from macroslow.tlog.succession import succession

CALLS = ("fsync", "fdatasync", "rename", "unlink", "pwrite64")
STRIDE = {"pwrite64": 11}  # there are many, and most lie between the same two syncs


@pytest.fixture
def own(tmp_path: Path, emulator_url: str, clean_environment: dict[str, str]) -> Iterator[Site]:
    """A site with a folder of its own for what was signed, and some entries under its first key."""
    outside = {"XDG_STATE_HOME": str(tmp_path / "outside")}
    made = make_site(tmp_path / "site", emulator_url, clean_environment | outside)
    made.key("ann")
    yield made
    if made.server is not None:
        made.stop()


def change_until(strace: str, site: Site, call: str, when: int) -> bool:
    """Change the key, killed at the `when`-th such call of a thread; whether it was."""
    injected = [
        "-f",
        "-qq",
        "-o",
        os.devnull,
        "-e",
        f"trace={call}",
        "-e",
        f"inject={call}:signal=KILL:when={when}",
    ]
    done = subprocess.run(
        [strace, *injected, *MACROSLOW, "audit", "rotate-key", "--reason", f"{call} {when}"],
        cwd=site.folder,
        env=site.environment,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode in {0, -signal.SIGKILL, 128 + signal.SIGKILL}, done.stderr
    return done.returncode != 0


def led_to(site: Site, first: LogPublicKey) -> LogPublicKey:
    """The key that signs, as whoever has the first one finds it."""
    told = site.data("audit", "key", "--succession")
    newest = succession(first, [text.encode() for text in told["hand_overs"]])[-1].key
    assert newest.fingerprint == told["fingerprint"]
    return newest


@pytest.mark.sweep
@pytest.mark.timeout(900)
@pytest.mark.parametrize("call", CALLS)
def test_a_killed_change_of_keys_is_completed_or_never_was(call: str, own: Site, tmp_path: Path) -> None:
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("needs strace (apt-get install strace)")
    pinned = tmp_path / "first.pub"
    pinned.write_text(own.data("audit", "key")["key"])
    first = LogPublicKey.parse(pinned.read_text())
    kills = 0
    for when in count(1, STRIDE.get(call, 1)):
        if not change_until(strace, own, call, when):
            break
        kills += 1
        own.key(f"caller-{when}")  # a start, which completes what was cut off
        led_to(own, first)
    assert kills, f"no thread makes the call {call}"
    assert led_to(own, first) != first
    sound = own.data("audit", "verify", "--key", str(pinned))
    assert sound["entries"] == sound["signed"] > kills
