"""A process that denied itself a folder: whatever it tries then, and what it can still do."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests import users

from macroslow.adapters.sandbox import _confine, _mountinfo, hindrance
from macroslow.adapters.sandbox.inside import landlock
from macroslow.adapters.sandbox.inside.wire import LANDLOCK, NATIVE

SCRIPT = str(Path(__file__).with_name("confined_process.py"))
_HOLD = "import sys; held = open(sys.argv[1]); print(held.fileno(), flush=True); sys.stdin.read()"


@pytest.fixture
def folder(uid: int) -> Iterator[Path]:
    """The folders `outside/above/signer`, with keys in it, and `work`."""
    if landlock.abi() < landlock.CONTENT_ABI:
        pytest.skip("no Landlock of ABI 3 here")
    with users.open_folder() as made:
        for name in ("outside", "outside/above", "outside/above/signer", "work"):
            (made / name).mkdir()
        for name in ("log.json", "history.json"):
            (made / "outside/above/signer" / name).write_text("a seed")
        for path in made.rglob("*"):
            os.chown(path, uid, uid)
            path.chmod(0o700 if path.is_dir() else 0o600)
        yield made


@pytest.fixture(params=["root", "user"])
def uid(request: pytest.FixtureRequest) -> int:
    if os.geteuid() == 0:
        users.need_them()
        return 0 if request.param == "root" else users.GATEWAY
    if request.param == "root":
        pytest.skip("needs root")
    return os.geteuid()


def start(uid: int, *arguments: str, **options: str) -> "subprocess.Popen[str]":
    if uid == os.geteuid():
        return subprocess.Popen(
            [sys.executable, *arguments],
            env=users.ENVIRONMENT | options,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
    return users.start(uid, *arguments, **options)


def tried(uid: int, folder: Path, mode: str) -> dict[str, str]:
    """What came of each attempt in a process of user `uid`."""
    signer = folder / "outside" / "above" / "signer"
    with start(uid, "-c", _HOLD, str(signer / "log.json")) as bystander:
        assert bystander.stdout is not None
        held = bystander.stdout.readline().strip()
        arguments = (str(signer), str(folder / "work"), str(bystander.pid), held, mode)
        with start(uid, SCRIPT, *arguments) as process:
            out, err = process.communicate(timeout=100)
        bystander.communicate(timeout=60)
    assert out, err
    told: dict[str, str] = json.loads(out)
    return told


def test_nothing_of_the_folder_is_read_written_or_moved_and_work_goes_on(uid: int, folder: Path) -> None:
    told = tried(uid, folder, "confined")
    assert told.pop("confined") == ""
    assert told.pop("work") == "works"
    assert told.pop("no new privileges") == "True"
    assert {name: why for name, why in told.items() if why == "done"} == {}
    seeds = folder / "outside" / "above" / "signer"
    assert {path.name: path.read_text() for path in seeds.iterdir()} == {
        "log.json": "a seed",
        "history.json": "a seed",
    }


def test_the_same_attempts_succeed_where_nothing_was_denied(uid: int, folder: Path) -> None:
    told = tried(uid, folder, "free")
    may_differ = {
        "mount the folder",
        "attach to another",
        "read another's memory",
        "take another's descriptor",
    }
    assert {
        name: told[name] for name in told if told[name] not in {"done", "works", "False"}
    }.keys() <= may_differ


@pytest.mark.parametrize(
    ("needed", "told"),
    [
        ("outside", "{keys} lies inside {needed}, where the gateway works"),
        ("outside/above", "{keys} lies inside {needed}, where the gateway works"),
        ("outside/above/signer", "the gateway works in {keys}"),
        ("outside/above/signer/x", "{keys} lies around {needed}, where the gateway works"),
    ],
)
def test_where_the_work_lies_around_or_within_it_the_reason_is_told(
    needed: str, told: str, tmp_path: Path
) -> None:
    (tmp_path / "outside/above/signer/x").mkdir(parents=True)
    why = hindrance([tmp_path / "outside/above/signer"], [tmp_path / needed])
    assert why == told.format(keys=tmp_path / "outside/above/signer", needed=tmp_path / needed)
    assert hindrance([tmp_path / "outside/above/signer"], [tmp_path / "work"]) == ""


_MANY = """
import sys, threading
from pathlib import Path
from macroslow.adapters.sandbox import confine
done = threading.Event()
threading.Thread(target=done.wait).start()
print(confine([Path(sys.argv[1])], []), flush=True)
done.set()
"""


def test_a_process_with_other_threads_is_not_said_to_be_confined(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _MANY, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert done.stdout == "other threads of this process run already\n"


MOUNTS = b"""\
21 1 254:0 / / rw - ext4 /dev/vda rw
22 21 254:0 /home/u /srv/of\\040u rw - ext4 /dev/vda rw
23 21 254:0 /home/u/keys/signer/a /srv/a rw - ext4 /dev/vda rw
24 21 254:0 /home/v /srv/v rw - ext4 /dev/vda rw
25 21 0:5 /home/u /other rw - tmpfs tmpfs rw
"""


def test_every_bind_mount_that_leads_to_the_folder_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_confine.os.path, "exists", lambda _path: True)
    mounts = _mountinfo.read(MOUNTS)
    found = [*_confine._elsewhere(Path("/home/u/keys/signer"), mounts)]
    assert found == [Path("/srv/of u/keys/signer"), Path("/srv/a")]
    assert [*_confine._elsewhere(Path("/other/keys"), mounts)] == []


def test_where_the_table_of_mounts_does_not_hold_the_folder_the_reason_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_confine, "mounted", lambda: _mountinfo.read(MOUNTS)[1:2])
    assert hindrance([tmp_path], []) == f"it is on no mount that this process sees ({tmp_path})"


THROUGH_A_MOUNT = """
import os, sys
from pathlib import Path
from macroslow.adapters.sandbox import confine
from macroslow.adapters.sandbox.inside import syscalls as s
signer, other, layout = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
inner = signer / "inner"
s.unshare(s.NEW_NS | (s.NEW_USER if os.geteuid() else 0), "unshare")
s.mount("", "/", flags=s.MS_REC | s.MS_PRIVATE)
def over(folder):
    s.mount("none", str(folder), "tmpfs")
if layout == "one upon the other":
    over(signer.parent); over(signer.parent)
elif layout == "one around the other":
    over(signer); over(signer.parent)
inner.mkdir(parents=True, exist_ok=True)
if layout == "one within the folder":
    over(inner)
(inner / "log.json").write_text("a seed")
source = {"a file": inner / "log.json", "one within the folder": inner}.get(layout, signer.parent)
if layout == "a file":
    (other / "file").touch()
    other /= "file"
s.mount(str(source), str(other), flags=s.MS_BIND)
alias = other / (inner / "log.json").relative_to(source)
print(alias.read_text(), flush=True)
print(repr(confine([signer], [])), flush=True)
for path in (inner / "log.json", alias):
    try:
        print(path.read_text())
    except PermissionError:
        print("refused")
"""


@pytest.mark.parametrize(
    "layout",
    ["none besides", "one upon the other", "one around the other", "one within the folder", "a file"],
)
def test_another_mount_of_the_keys_is_closed_too_however_mounts_are_stacked(
    layout: str, tmp_path: Path
) -> None:
    if landlock.abi() < landlock.CONTENT_ABI:
        pytest.skip("no Landlock of ABI 3 here")
    for name in ("above/signer", "other"):
        (tmp_path / name).mkdir(parents=True)
    folders = [str(tmp_path / "above/signer"), str(tmp_path / "other")]
    command = [sys.executable, "-c", THROUGH_A_MOUNT, *folders, layout]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if "unshare" in done.stderr:
        pytest.skip("no mounts can be made here")
    assert done.stdout.splitlines() == ["a seed", "''", "refused", "refused"], done.stderr


_RUN = """
import asyncio, sys
from pathlib import Path
from macroslow.adapters import sandbox
from macroslow.workflow.sandbox import Block, Job, Limits

hidden, work, backend = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
launcher = sandbox.ZygoteLauncher.open({sandbox.NATIVE: sandbox.profile_of(sandbox.NATIVE)})
assert sandbox.confine([hidden], [work]) == ""
CODE = f"try: print(open({str(hidden / 'log.json')!r}).read())\\nexcept OSError: print('refused')"
JOB = Job(run_id="a", blocks=(Block("python", "a", CODE),), inputs={}, limits=Limits())

async def main():
    box = await sandbox.choose(preferred=backend, launcher=launcher)
    (block,) = (await box.run(JOB)).blocks
    print(box.backend, block.status.value, block.stdout.strip())
    await box.close()
    await launcher.close()

asyncio.run(main())
"""


@pytest.mark.parametrize("backend", [NATIVE, LANDLOCK])
@pytest.mark.parametrize("uid", ["user"], indirect=True)
def test_sandboxes_of_both_levels_start_within_it_and_their_code_reads_nothing_of_it(
    uid: int, folder: Path, backend: str
) -> None:
    if landlock.abi() < landlock.TCP_ABI:
        pytest.skip("no Landlock of ABI 4 here")
    signer, work = folder / "outside" / "above" / "signer", folder / "work"
    process = start(uid, "-c", _RUN, str(signer), str(work), backend, TMPDIR=str(work))
    out, err = process.communicate(timeout=100)
    assert out == f"{backend} ok refused\n", err


_BY_THE_LAUNCHER = """
import asyncio, sys
from pathlib import Path
from macroslow.adapters import sandbox
from macroslow.errors import SandboxUnavailableError
from macroslow.workflow.box import Mount, Program
from macroslow.workflow.sandbox import Block, Job, Limits

hidden, work, how = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
shown, bound = work / "a" / hidden.name, work / "b" / hidden.name
for folder in (shown, bound):
    folder.mkdir(parents=True)
    (folder / "log.json").write_text("harmless")
    for path in (folder, folder.parent):
        path.chmod(0o755)
program = Program("docs", ("/bin/cat", str(bound / "log.json")), (Mount(str(bound), False),))
profile = sandbox.profile_of(sandbox.NATIVE)
profile["folders"][str(shown)] = str(shown)
launcher = sandbox.ZygoteLauncher.open(
    {sandbox.NATIVE: profile, sandbox.box_name(program): sandbox.box_profile(program)}
)
assert sandbox.confine([hidden], [work]) == ""

def replace(folder):
    if how == "by a link":
        folder.rename(folder.with_name("old"))
        folder.symlink_to(hidden)
    elif how == "by a link on the way":
        folder.parent.rename(folder.parent.with_name(folder.parent.name + "-old"))
        folder.parent.symlink_to(hidden.parent)
    elif how == "of a file":
        (folder / "log.json").unlink()
        (folder / "log.json").symlink_to(hidden / "log.json")
    elif how == "by themselves":
        folder.rename(folder.with_name("old"))
        try:
            hidden.rename(folder)
        except OSError:
            folder.with_name("old").rename(folder)

async def through_a_block():
    code = f"print(open({str(shown / 'log.json')!r}).read())"
    job = Job(run_id="a", blocks=(Block("python", "a", code),), inputs={}, limits=Limits())
    box = sandbox.ProcessSandbox(sandbox.NATIVE, preload=(), launcher=launcher)
    try:
        (block,) = (await box.run(job)).blocks
        return block.stdout.strip() or block.status.value
    finally:
        await box.close()

async def through_a_box():
    boxes = sandbox.Boxes(program, launcher)
    try:
        box = await boxes.start({})
        said = await box.read(1000)
        await box.close()
        return said.decode() or "nothing"
    finally:
        await boxes.close()

async def main():
    for folder in (shown, bound):
        replace(folder)
    for way in (through_a_block, through_a_box):
        try:
            print(await way())
        except SandboxUnavailableError as error:
            print("refused" if "symbolic links" in error.detail else error.detail)
    await launcher.close()

asyncio.run(main())
"""


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("not at all", ["harmless", "harmless"]),
        ("by themselves", ["harmless", "harmless"]),
        ("by a link", ["refused", "refused"]),
        ("by a link on the way", ["refused", "refused"]),
        ("of a file", ["error", "nothing"]),
    ],
)
def test_a_launcher_outside_is_not_led_to_the_folder_by_what_was_put_in_place_of_a_shown_one(
    uid: int, folder: Path, how: str, said: list[str]
) -> None:
    signer, work = folder / "outside" / "above" / "signer", folder / "work"
    if uid == 0:  # the jail's user is another: it must be the walls that keep him out
        for path in (folder, *folder.rglob("*")):
            path.chmod(0o755 if path.is_dir() else 0o644)
    process = start(uid, "-c", _BY_THE_LAUNCHER, str(signer), str(work), how)
    out, err = process.communicate(timeout=100)
    assert out.split() == said, err
