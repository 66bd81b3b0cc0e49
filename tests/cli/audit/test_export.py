"""`macroslow audit export`: what it writes and says, and that breaking it off harms no mirror."""

import json
import stat
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from tests.cli.conftest import Ran

from macroslow.cli.audit import export as audit_export
from macroslow.settings import Settings

Command = Callable[..., Ran]


@pytest.fixture
def at_home(macroslow: Command, tmp_path: Path) -> Command:
    """Commands where a gateway's state with one entry is; its mark of signed trees is beside it."""
    (tmp_path / "macroslow.toml").write_text('[sandbox]\nbackend = "none"\n[log]\nhigh_water = "off"\n')
    assert macroslow("keys", "create", "ann", "--json").returncode == 0
    return macroslow


def files_of(mirror: Path) -> dict[str, bytes]:
    return {str(file.relative_to(mirror)): file.read_bytes() for file in mirror.rglob("*") if file.is_file()}


def test_an_export_is_told_to_people_and_to_programs(at_home: Command, tmp_path: Path) -> None:
    first = at_home("audit", "export", "a/mirror")
    assert first.returncode == 0, first.stderr
    assert first.stdout.startswith("exported 1 entry of macroslow/local to a/mirror\n  root       ")
    assert first.stdout.endswith("  files      2 written, 0 there already\n")
    assert first.stderr == ""  # a progress is for terminals
    again = at_home("audit", "export", "a/mirror", "--json")
    told = json.loads(again.stdout)
    assert told.pop("root_sha256").startswith(first.stdout.split()[8].rstrip("…"))
    assert told == {
        "folder": "a/mirror",
        "origin": "macroslow/local",
        "entries": 1,
        "files_written": 0,
        "files_kept": 2,
    }
    mirror = tmp_path / "a" / "mirror"
    assert set(files_of(mirror)) == {"checkpoint", "tile/0/000.p/1", "tile/entries/000.p/1"}


def test_no_word_of_an_entry_and_no_secret_is_in_the_files(at_home: Command, tmp_path: Path) -> None:
    made = json.loads(at_home("keys", "create", "zacharias", "--note", "canary-7Q", "--json").stdout)
    assert at_home("audit", "export", "mirror").returncode == 0
    files = files_of(tmp_path / "mirror")
    assert b"macroslow/local" in files["checkpoint"]
    whole = b"".join(files.values())
    for word in ("zacharias", "canary-7Q", made["key"], made["id"]):
        assert word.encode() not in whole


def test_a_web_server_of_another_user_may_read_them(at_home: Command, tmp_path: Path) -> None:
    assert at_home("audit", "export", "mirror").returncode == 0
    paths = list((tmp_path / "mirror").rglob("*"))
    assert {path.name for path in paths} > {"checkpoint", "tile"}
    for path in paths:
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode & 0o444 == 0o444
        assert not mode & 0o022


def test_where_no_state_is_nothing_is_made(macroslow: Command, tmp_path: Path) -> None:
    done = macroslow("audit", "export", "mirror")
    assert done.returncode == 2
    assert "there is no gateway's state" in done.stderr
    assert not (tmp_path / "mirror").exists()


@pytest.mark.parametrize("in_the_way", ["mirror", "mirror/tile", "mirror/tile/0"])
def test_a_file_that_is_in_the_way_is_said(in_the_way: str, at_home: Command, tmp_path: Path) -> None:
    file = tmp_path / in_the_way
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("mine")
    done = at_home("audit", "export", "mirror")
    assert done.returncode == 2
    assert "mirror" in done.stderr
    assert "fix: " in done.stderr
    assert "[Errno" not in done.stderr
    assert file.read_text() == "mine"


def test_a_file_that_differs_is_named_and_a_verdict(at_home: Command, tmp_path: Path) -> None:
    at_home("audit", "export", "mirror")
    file = tmp_path / "mirror" / "tile" / "entries" / "000.p" / "1"
    file.write_bytes(file.read_bytes()[:-1] + b"?")
    before = files_of(tmp_path / "mirror")
    done = at_home("audit", "export", "mirror")
    assert (done.returncode, done.stdout) == (1, "")
    assert "tile/entries/000.p/1 of the folder is not the log's" in done.stderr
    assert files_of(tmp_path / "mirror") == before


def test_who_breaks_it_off_has_the_mirror_that_was_there_and_can_go_on(
    at_home: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C, wherever it comes: no half file, no temporary one, and no checkpoint ahead of its tiles."""
    at_home("audit", "export", "mirror")
    old = files_of(tmp_path / "mirror")
    at_home("keys", "create", "bob")
    fetch, asked = audit_export._fetch, list[Sequence[str]]()

    def interrupted(settings: Settings, paths: Sequence[str]) -> list[bytes]:
        asked.append(paths)
        if len(asked) == 5:  # after a tile was written
            raise KeyboardInterrupt
        return fetch(settings, paths)

    with monkeypatch.context() as patch:
        patch.setattr(audit_export, "_fetch", interrupted)
        done = at_home("audit", "export", "mirror")
    assert (done.returncode, done.stderr) == (130, "interrupted\n")
    left = files_of(tmp_path / "mirror")
    assert left.pop("tile/0/000.p/2")
    assert left == old
    assert at_home("audit", "export", "mirror").returncode == 0
    at_home("audit", "export", "new")
    assert files_of(tmp_path / "mirror") == {**old, **files_of(tmp_path / "new")}
