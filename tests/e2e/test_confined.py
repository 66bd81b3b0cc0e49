"""A real server that denied itself the keys that sign: what no thread of it can do, what it still does."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.conftest import Site, make_site, wait_until
from tests.e2e.documents import document

from macroslow.adapters.keyfiles import signer_folder
from macroslow.adapters.sandbox.inside import landlock

# The order of a start is the product's own: what is looked at begins when it serves.
_LOOK = """
import asyncio, json, os, signal, subprocess, sys
from pathlib import Path
from macroslow.bootstrap.edges.serving import serve
from macroslow.settings import load

# Whoever is confined looks only into threads that are confined likewise.
CHILD = '''
import os, sys
tids = os.listdir(f"/proc/{sys.argv[1]}/task")
outside = 0
for tid in tids:
    try:
        open(f"/proc/{sys.argv[1]}/task/{tid}/environ", "rb").read(1)
    except PermissionError:
        outside += 1
print(len(tids), outside)
'''

def tried(path, flags=os.O_RDONLY):
    try:
        os.close(os.open(path, flags))
    except PermissionError:
        return "refused"
    return "open"

async def look(started):
    seeds = [str(path) for folder in sys.argv[2:4] for path in Path(folder).rglob("*") if path.is_file()]
    threads = [asyncio.to_thread(tried, seeds[0]) for _ in range(8)]
    told = {"notes": started.notes, "seeds": {path: tried(path) for path in seeds}}
    told["in threads"] = await asyncio.gather(*threads)
    child = subprocess.run([sys.executable, "-c", CHILD, str(os.getpid())], capture_output=True, text=True)
    told["threads"], told["outside"] = map(int, child.stdout.split())
    told["made"] = tried(sys.argv[2] + "/log.json.new", os.O_WRONLY | os.O_CREAT)
    print(json.dumps(told), flush=True)
    os.kill(os.getpid(), signal.SIGTERM)

async def main():
    waiting = []
    settings = load(Path(sys.argv[1]), os.environ)
    await serve(settings, lambda started: waiting.append(asyncio.ensure_future(look(started))))

asyncio.run(main())
"""


@pytest.fixture
def site(tmp_path: Path, emulator_url: str, clean_environment: dict[str, str]) -> Iterator[Site]:
    """A site whose keys lie where they lie by default, apart from all that it works in."""
    if landlock.abi() < landlock.CONTENT_ABI:
        pytest.skip("no Landlock of ABI 3 here")
    for name in ("outside", "temporary"):
        (tmp_path / name).mkdir()
    places = {"XDG_STATE_HOME": str(tmp_path / "outside"), "TMPDIR": str(tmp_path / "temporary")}
    made = make_site(tmp_path / "site", emulator_url, clean_environment | places)
    yield made
    if made.server is not None:
        made.stop()


def outside(site: Site) -> Path:
    return site.folder.parent / "outside" / "macroslow"


def test_no_thread_of_the_server_reads_a_seed_or_the_mark(site: Site) -> None:
    site.key("ann")
    (site.folder / "look.toml").write_text(
        (site.folder / "macroslow.toml").read_text() + '\n[server]\nlisten = "127.0.0.1:0"\n'
    )
    folders = [str(outside(site) / name) for name in ("signer", "high-water")]
    done = subprocess.run(
        [sys.executable, "-c", _LOOK, "look.toml", *folders],
        cwd=site.folder,
        env=site.environment,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.stdout, done.stderr
    told = json.loads(done.stdout)
    assert not any("nothing keeps" in note for note in told["notes"])
    assert len(told["seeds"]) == 4  # of the log, answers and histories, and the mark
    assert set(told["seeds"].values()) == set(told["in threads"]) == {told["made"]} == {"refused"}
    assert told["threads"] > 1
    assert told["outside"] == 0


def test_it_signs_runs_documents_and_replaces_what_dies(site: Site) -> None:
    site.start()
    assert not any("nothing keeps" in note for note in site.notes)
    assert signer_folder(site.state).parent == outside(site) / "signer"
    key = site.client("ann", scopes=["documents:execute"])
    raw = document("print(6 * 7)")
    for _ in range(2):
        # What runs, or waits for a run, in a zygote that dies goes with it: that is told, and asked again.
        wait_until(lambda: site.execute(key, raw).json.get("status") == "success")
        zygotes = children_of(launcher_of(site))
        assert zygotes
        for pid in zygotes:
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda gone=zygotes: not any(Path(f"/proc/{pid}").exists() for pid in gone))
    assert site.ask("audit.checkpoint")["note"]
    assert site.data("audit", "rotate-key", "--reason", "a test")["old"]
    assert site.stop() == 0
    site.start()
    assert site.ask("audit.checkpoint")["note"]


def children_of(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for task in tasks for child in task.read_text().split()]


def launcher_of(site: Site) -> int:
    assert site.server is not None
    (found,) = [
        pid
        for pid in children_of(site.server.pid)
        if b"inside.launcher" in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]
    return found


def test_the_launcher_ends_with_a_server_that_is_killed(site: Site) -> None:
    site.start()
    pid = launcher_of(site)
    site.stop(signal.SIGKILL)
    wait_until(lambda: not Path(f"/proc/{pid}").exists())


@pytest.mark.parametrize(
    ("setting", "why"),
    [
        ('keys = "state"', "they lie in the state folder (fix: [log] keys = a folder outside of it)"),
        (
            'keys = "../around/site-keys"',
            "around, where the gateway works; that is the folder for temporary files, TMPDIR (fix: [log] ",
        ),
    ],
    ids=["in the state folder", "below the temporary folder"],
)
def test_where_it_cannot_be_the_start_says_why_and_goes_on(setting: str, why: str, site: Site) -> None:
    site.environment["TMPDIR"] = str(site.folder.parent / "around")
    (site.folder.parent / "around").mkdir()
    with (site.folder / "macroslow.toml").open("a") as file:
        file.write(f"[log]\n{setting}\n")
    site.start()
    (note,) = [note for note in site.notes if "nothing keeps the signing keys" in note]
    assert why in note
    assert site.ask("audit.checkpoint")["note"]
