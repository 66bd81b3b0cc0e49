"""What a command names and its box will not have is told before a start."""

from pathlib import Path

from macroslow.bootstrap.upstreams.words import unseen_words
from macroslow.settings import load


def told(folder: Path, command: list[str], mounts: list[str]) -> list[str]:
    file = folder / "macroslow.toml"
    file.write_text(f"[mcp.servers.notes]\ncommand = {command}\nmounts = {mounts}\n")
    return unseen_words(load(file, {}))


def test_a_program_that_is_nowhere_is_told(tmp_path: Path) -> None:
    (line,) = told(tmp_path, ["no-such-program", "--x"], [])
    assert line.startswith("mcp.servers.notes.command: no-such-program is not in /usr/local/bin:")


def test_a_file_that_no_mount_shows_is_told(tmp_path: Path) -> None:
    script = tmp_path / "notes.py"
    script.touch()
    (line,) = told(tmp_path, ["sh", str(script)], [f"{tmp_path}/other:ro"])
    assert f"names {script}, which no mount shows" in line
    (first,) = told(tmp_path, [str(script)], [])
    assert f"fix: add {script}:ro to mounts" in first


def test_what_is_shown_or_is_no_file_is_not_told(tmp_path: Path) -> None:
    script = tmp_path / "notes.py"
    script.touch()
    assert told(tmp_path, ["sh", str(script), "/not/a/file"], [f"{tmp_path}:ro"]) == []
    assert told(tmp_path, ["/bin/sh", "-c", "true"], []) == []
