"""Mounts that an operator names: what would show the gateway's own is refused, by whatever name (N27)."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from macroslow.adapters.sandbox._mounts import refusal
from macroslow.workflow.box import Mount


@pytest.fixture
def state(tmp_path: Path) -> Path:
    folder = tmp_path / "gateway" / ".macroslow"
    (folder / "keys").mkdir(parents=True)
    (tmp_path / "gateway" / ".env").write_text("KEY=1")
    (tmp_path / "gateway" / "docs").mkdir()
    return folder


def read(path: Path) -> Mount:
    return Mount(str(path), writable=False)


def test_n27_a_folder_that_is_holds_or_lies_in_the_state_folder_is_refused(state: Path) -> None:
    for path in (state, state / "keys", state.parent, state.parent.parent):
        reason = refusal(read(path), [state])
        assert reason == f"{path} would show {state}, which is the gateway's own"
    assert refusal(read(state.parent / "docs"), [state, state.parent / ".env"]) is None


def test_n27_a_folder_with_the_env_file_in_it_is_refused(state: Path) -> None:
    dotenv = state.parent / ".env"
    assert (
        refusal(read(state.parent), [dotenv])
        == f"{state.parent} would show {dotenv}, which is the gateway's own"
    )
    assert refusal(read(dotenv), [dotenv]) is not None


def test_a_place_that_is_not_there_yet_is_kept_from_being_shown_too(tmp_path: Path) -> None:
    assert refusal(read(tmp_path), [tmp_path / "not" / "made"]) is not None
    (tmp_path / "other").mkdir()
    assert refusal(read(tmp_path / "other"), [tmp_path / "not" / "made"]) is None


def test_a_link_is_not_followed_and_its_target_is_said(state: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(state)
    assert refusal(read(link), []) == f"{link} leads over a symbolic link: write {state}"
    assert refusal(read(link / "keys"), []) == f"{link}/keys leads over a symbolic link: write {state}/keys"


def test_what_is_no_folder_or_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    assert refusal(read(tmp_path / "nothing"), []) == f"{tmp_path}/nothing does not exist"
    assert refusal(read(tmp_path / "fifo"), []) == f"{tmp_path}/fifo is neither a folder nor a file"
    assert refusal(read(Path("/dev/null")), []) is not None
    (tmp_path / "file").write_text("")
    assert refusal(read(tmp_path / "file"), []) is None


def test_what_shows_the_kernels_own_file_systems_is_refused() -> None:
    assert "file system of the kernel" in str(refusal(read(Path("/")), []))


THROUGH_A_BIND = """
import sys
from pathlib import Path
from macroslow.adapters.sandbox._mounts import refusal
from macroslow.adapters.sandbox.inside import syscalls
from macroslow.workflow.box import Mount
state, alias, within = map(Path, sys.argv[1:])
syscalls.unshare(syscalls.NEW_USER | syscalls.NEW_NS, "user, mount")
syscalls.mount("", "/", flags=syscalls.MS_REC | syscalls.MS_PRIVATE)
syscalls.mount(str(state.parent), str(alias), flags=syscalls.MS_BIND)
syscalls.mount(str(state / "keys"), str(within / "shown"), flags=syscalls.MS_BIND)
for path in (alias, alias / state.name, alias / "docs", within, within / "shown", within.parent / "free"):
    print(refusal(Mount(str(path), False), [state]) is not None)
"""


def test_n27_another_mount_of_the_state_folder_is_no_way_around(state: Path, tmp_path: Path) -> None:
    alias, within, free = tmp_path / "a b", tmp_path / "within", tmp_path / "free"
    for folder in (alias, within / "shown", free):
        folder.mkdir(parents=True)
    done = subprocess.run(
        [sys.executable, "-c", THROUGH_A_BIND, state, alias, within],
        capture_output=True,
        text=True,
        check=False,
    )
    if "unshare" in done.stderr:
        pytest.skip("no mounts can be made here")
    assert done.stdout.split() == ["True", "True", "False", "True", "True", "False"], done.stderr


THROUGH_A_STACK = """
import os, sys
from pathlib import Path
from macroslow.adapters.sandbox._mounts import refusal
from macroslow.adapters.sandbox.inside import syscalls as s
from macroslow.workflow.box import Mount
state, alias, layout = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
s.unshare(s.NEW_NS | (s.NEW_USER if os.geteuid() else 0), "unshare")
s.mount("", "/", flags=s.MS_REC | s.MS_PRIVATE)
below = state / "keys" if layout == "within" else state
s.mount("none", str(below), "tmpfs")
if layout != "within":
    s.mount("none", str(state if layout == "upon" else state.parent), "tmpfs")
state.mkdir(exist_ok=True)
s.mount(str(below), str(alias), flags=s.MS_BIND)
for path in (alias, alias.parent / "free"):
    print(refusal(Mount(str(path), False), [state]) is not None)
"""


@pytest.mark.parametrize("layout", ["upon", "around", "within"])
def test_n27_nor_is_one_among_mounts_upon_around_or_within_the_state_folder(
    layout: str, state: Path, tmp_path: Path
) -> None:
    for name in ("alias", "free"):
        (tmp_path / name).mkdir()
    command = [sys.executable, "-c", THROUGH_A_STACK, str(state), str(tmp_path / "alias"), layout]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if "unshare" in done.stderr:
        pytest.skip("no mounts can be made here")
    assert done.stdout.split() == ["True", "False"], done.stderr
