"""A file is there as a whole or not at all, and is its owner's alone."""

import os
import stat
from pathlib import Path

import pytest

from macroslow import durable_files


def test_an_existing_file_is_never_overwritten(tmp_path: Path) -> None:
    durable_files.write_new(tmp_path / "a", b"first")
    with pytest.raises(FileExistsError):
        durable_files.write_new(tmp_path / "a", b"second")
    (tmp_path / "link").symlink_to(tmp_path / "target")
    with pytest.raises(FileExistsError):
        durable_files.write_new(tmp_path / "link", b"second")
    assert (tmp_path / "a").read_bytes() == b"first"
    assert not (tmp_path / "target").exists()


@pytest.mark.parametrize("mask", [0o000, 0o777])
def test_a_file_is_its_owners_alone_whatever_the_umask_is(mask: int, tmp_path: Path) -> None:
    before = os.umask(mask)
    try:
        durable_files.write_new(tmp_path / "new", b"")
        durable_files.replace(tmp_path / "replaced", b"")
    finally:
        os.umask(before)
    for path in tmp_path.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_file_is_replaced_whole_and_nothing_stays_beside_it(tmp_path: Path) -> None:
    (tmp_path / "a.new").write_bytes(b"half of what a cra")
    for content in (b"first, and longer", b"second"):
        durable_files.replace(tmp_path / "a", content)
        assert (tmp_path / "a").read_bytes() == content
    assert [each.name for each in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize("at", ["fsync", "fchmod"])
def test_what_the_disk_does_not_take_leaves_what_was_there(
    at: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    durable_files.replace(tmp_path / "a", b"first")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, at, full)
    with pytest.raises(OSError, match="space"):
        durable_files.replace(tmp_path / "a", b"second")
    monkeypatch.undo()
    assert (tmp_path / "a").read_bytes() == b"first"
    durable_files.replace(tmp_path / "a", b"third")
    assert (tmp_path / "a").read_bytes() == b"third"


def test_a_link_is_replaced_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to(tmp_path / "target")
    durable_files.replace(tmp_path / "a", b"ours")
    assert not (tmp_path / "a").is_symlink()
    assert not (tmp_path / "target").exists()
