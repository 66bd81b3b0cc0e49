"""Files that commands read, make and replace: within bounds, never half of one, nothing overwritten."""

import io
import os
import sys
from pathlib import Path

import click
import pytest

from macroslow.cli._files import STDIN, create, read_up_to, read_whole, write_new, write_over
from macroslow.errors import ConfigurationError


def test_a_file_and_standard_input_are_read_up_to_their_limit(tmp_path: Path, monkeypatch) -> None:
    file = tmp_path / "a"
    file.write_bytes(b"12345")
    assert read_whole(file, 5) == b"12345"
    assert read_up_to(file, 3) == b"123"
    with pytest.raises(click.UsageError, match="larger than 4 bytes"):
        read_whole(file, 4)
    for limit_bytes, fits in ((5, True), (4, False)):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"12345")))
        if fits:
            assert read_whole(STDIN, limit_bytes) == b"12345"
        else:
            with pytest.raises(click.UsageError):
                read_whole(STDIN, limit_bytes)


def test_what_cannot_be_read_is_said_in_words(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none"):
        with pytest.raises(click.UsageError, match="cannot be read"):
            read_up_to(path, 1)


def test_what_is_there_stays_also_where_a_link_points_away(tmp_path: Path) -> None:
    file, link = tmp_path / "a", tmp_path / "link"
    assert create(file, "first", 0o600)
    assert not create(file, "second")
    link.symlink_to(tmp_path / "elsewhere")
    assert not create(link, "through it")
    assert not (tmp_path / "elsewhere").exists()
    assert (file.read_text(), file.stat().st_mode & 0o777) == ("first", 0o600)


def test_a_secret_of_a_start_is_its_owners_alone(tmp_path: Path) -> None:
    assert write_new(tmp_path / ".env", "KEY=1")
    assert (tmp_path / ".env").stat().st_mode & 0o077 == 0
    with pytest.raises(ConfigurationError, match="cannot be written"):
        write_new(tmp_path / "no" / "folder", "")


def test_a_file_is_replaced_whole_and_keeps_its_permissions(tmp_path: Path) -> None:
    file = tmp_path / "a.maml.md"
    write_over(file, b"first")
    file.chmod(0o640)
    write_over(file, b"second")
    assert (file.read_bytes(), file.stat().st_mode & 0o777) == (b"second", 0o640)
    assert [*tmp_path.iterdir()] == [file]


def test_what_a_killed_process_of_the_same_number_left_is_in_nobodys_way(tmp_path: Path) -> None:
    file = tmp_path / "file"
    (tmp_path / f".file.{os.getpid()}").write_bytes(b"half")
    write_over(file, b"whole")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"whole"]


def test_what_cannot_be_replaced_leaves_nothing_behind(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    folder.mkdir()
    with pytest.raises(OSError, match="directory"):
        write_over(folder, b"x")
    assert [*tmp_path.iterdir()] == [folder]
