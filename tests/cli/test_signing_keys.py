"""The keys that sign as commands find them: absent, in another place than is said, or moved there."""

import json
import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests import users

INSIDE = '[sandbox]\nbackend = "none"\n[log]\nhigh_water = "marks"\nkeys = "state"\n'
OUTSIDE = INSIDE.replace('"state"', '"outside"')


@pytest.fixture
def at_home(macroslow: Callable[..., Any], tmp_path: Path) -> Callable[..., Any]:
    """Commands on state with one client key, whose signing keys lie in it."""
    (tmp_path / "macroslow.toml").write_text(INSIDE)
    assert macroslow("keys", "create", "ann").returncode == 0
    return macroslow


def test_without_its_signer_a_command_is_refused_and_waits_for_nothing(
    macroslow: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("macroslow.adapters.signer.process._awaited", None)  # would fail if it were called
    (tmp_path / "macroslow.toml").write_text(f'[log]\nsigner = "unix:{tmp_path}/signer.sock"\n')
    for command in (["keys", "create", "ann"], ["audit", "tail"]):
        ran = macroslow(*command)
        assert (ran.returncode, "nothing listens there" in ran.stderr) == (78, True), ran.stderr


def test_who_only_reads_moves_no_keys_and_who_changes_the_log_says_where_to(
    at_home: Callable[..., Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    keys = tmp_path / ".macroslow" / "keys"
    (tmp_path / "macroslow.toml").write_text(OUTSIDE)
    assert at_home("audit", "verify").returncode == 0
    assert (keys / "signer" / "log.json").exists()
    assert not (tmp_path / "outside").exists()
    assert caplog.messages == []
    assert at_home("keys", "create", "bob").returncode == 0
    (folder,) = (tmp_path / "outside").iterdir()
    assert caplog.messages == [f"moved the keys that sign to {folder}"]
    assert not (keys / "signer").exists()
    caplog.clear()
    assert at_home("keys", "create", "cyd").returncode == 0
    assert caplog.messages == []


def contents(folder: Path) -> dict[str, object]:
    """Every file below `folder`, with its mode."""
    found = sorted(folder.rglob("*"))
    return {str(one): (one.stat().st_mode, one.read_bytes() if one.is_file() else b"") for one in found}


def refused(macroslow: Callable[..., Any], folder: Path, why: str, *, checked: bool = True) -> None:
    """A command that signs is refused with `why`; who looks beforehand says so too, and changes nothing."""
    before = contents(folder)
    doctor = macroslow("doctor")
    assert (doctor.returncode, why in doctor.stdout, "fix: " in doctor.stdout) == (78, True, True), (
        doctor.stdout
    )
    assert macroslow("doctor", "--json").returncode == 78
    check = macroslow("config", "check")
    assert (check.returncode, why in check.stdout) == ((78, True) if checked else (0, False)), check.stdout
    assert contents(folder) == before
    created = macroslow("keys", "create", "zoe")
    assert (created.returncode, why in created.stderr) == (78, True), created.stderr


def test_a_socket_that_is_not_there(macroslow: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "macroslow.toml").write_text(f'[log]\nsigner = "unix:{tmp_path}/signer.sock"\n')
    refused(macroslow, tmp_path, "nothing listens there", checked=False)  # a start waits for it


def test_a_socket_at_which_nothing_listens_any_more(macroslow: Callable[..., Any], tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(tmp_path / "signer.sock"))
    (tmp_path / "macroslow.toml").write_text(f'[log]\nsigner = "unix:{tmp_path}/signer.sock"\n')
    doctor = macroslow("doctor")
    assert (doctor.returncode, "nothing listens there" in doctor.stdout) == (78, True)
    assert macroslow("config", "check").returncode == 0  # who is there is not asked


def test_keys_besides_those_of_another_users_signer(at_home: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "macroslow.toml").write_text(f'[log]\nsigner = "unix:{tmp_path}/signer.sock"\n')
    refused(at_home, tmp_path, "[log] signer names one that has its own")


@pytest.mark.parametrize("settings", [INSIDE, OUTSIDE], ids=["inside", "outside"])
def test_keys_that_were_moved_away(macroslow: Callable[..., Any], tmp_path: Path, settings: str) -> None:
    (tmp_path / "macroslow.toml").write_text(settings)
    assert macroslow("keys", "create", "ann").returncode == 0
    where = tmp_path / ".macroslow" / "keys" / "signer" if settings == INSIDE else tmp_path / "outside"
    where.rename(tmp_path / "elsewhere")
    refused(macroslow, tmp_path, "the keys that sign are not in")


@pytest.mark.parametrize("begun", [False, True], ids=["new", "to be moved"])
def test_a_folder_for_keys_that_is_open_to_others(
    macroslow: Callable[..., Any], tmp_path: Path, begun: bool
) -> None:
    if begun:
        (tmp_path / "macroslow.toml").write_text(INSIDE)
        assert macroslow("keys", "create", "ann").returncode == 0
    (tmp_path / "outside").mkdir(mode=0o755)
    (tmp_path / "outside").chmod(0o755)
    (tmp_path / "macroslow.toml").write_text("[providers]\n" + OUTSIDE)
    refused(macroslow, tmp_path, "others can read")


def test_a_folder_for_keys_within_the_state_folder(macroslow: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "macroslow.toml").write_text('[providers]\n[log]\nkeys = ".macroslow/mine"\n')
    refused(macroslow, tmp_path, "lies in it")


def test_who_checks_another_users_gateway_is_told_nothing_of_its_keys(
    at_home: Callable[..., Any], tmp_path: Path
) -> None:
    if os.geteuid():
        pytest.skip("only root can give a folder away")
    for path in (tmp_path / ".macroslow", tmp_path / ".macroslow" / "keys"):
        os.chown(path, users.GATEWAY, users.GATEWAY)
    checked = at_home("config", "check")
    assert checked.returncode == 0, checked.stdout


def test_an_older_copy_of_the_state(at_home: Callable[..., Any], tmp_path: Path) -> None:
    state = tmp_path / ".macroslow"
    shutil.copytree(state, tmp_path / "copy")
    assert at_home("keys", "create", "bob").returncode == 0
    assert at_home("doctor").returncode != 78
    shutil.rmtree(state)
    (tmp_path / "copy").rename(state)
    refused(at_home, tmp_path, "this is an older copy of it", checked=False)
    verified = at_home("audit", "verify")
    assert verified.returncode == 1
    assert "an older copy: 2 entries were signed, 1 is here" in verified.stderr
    told = json.loads(at_home("audit", "verify", "--json").stdout)
    assert (told["sound"], told["entries"], told["signed_ever"]) == (False, 1, 2)
    off = at_home("audit", "verify", environ={"MACROSLOW__LOG__HIGH_WATER": "off"})
    assert (off.returncode, "older copy" in off.stderr) == (0, False)


def test_keys_about_to_be_moved_are_not_said_to_stay(at_home: Callable[..., Any], tmp_path: Path) -> None:
    at_first = json.loads(at_home("doctor", "--json").stdout)["keys"]
    (tmp_path / "macroslow.toml").write_text(OUTSIDE)
    later = json.loads(at_home("doctor", "--json").stdout)["keys"]
    assert ("they lie in the state folder" in at_first, "they lie in the state folder" in later) == (
        True,
        False,
    )
    assert "fix: [log] keys = a folder outside of it" in at_first
