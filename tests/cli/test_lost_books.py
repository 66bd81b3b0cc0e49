"""Books that are gone, or not begun yet: nothing is decided about them, and none are made in passing."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from macroslow.bootstrap.state.core import open_core
from macroslow.cli._configured import settings_of

LOOKS = [["audit", "verify"], ["audit", "tail"], ["keys", "list"], ["usage"]]


@pytest.fixture
def at_home(macroslow: Callable[..., Any], tmp_path: Path) -> Callable[..., Any]:
    (tmp_path / "macroslow.toml").write_text('[sandbox]\nbackend = "none"\n[log]\nhigh_water = "off"\n')
    return macroslow


def lose(state: Path, pattern: str) -> None:
    for path in state.glob(pattern):
        path.unlink()


@pytest.mark.parametrize("command", [*LOOKS, ["keys", "create", "bob"]], ids=" ".join)
@pytest.mark.parametrize("lost", ["books.sqlite*", "*.sqlite*"])
def test_lost_books_are_restored_and_not_begun_anew(
    at_home: Callable[..., Any], tmp_path: Path, lost: str, command: list[str]
) -> None:
    state = tmp_path / ".macroslow"
    assert at_home("keys", "create", "ann").returncode == 0
    lose(state, lost)
    ran = at_home(*command)
    assert (ran.returncode, ran.stdout) == (78, "")
    assert "books.sqlite is missing" in ran.stderr
    assert "fix: restore the newest backup" in ran.stderr
    assert not (state / "books.sqlite").exists()


def test_books_are_begun_anew_on_purpose_alone(at_home: Callable[..., Any], tmp_path: Path) -> None:
    state = tmp_path / ".macroslow"
    assert at_home("keys", "create", "ann").returncode == 0
    lose(state, "*.sqlite*")
    (state / "books.sqlite").touch()
    assert at_home("keys", "create", "bob").returncode == 0
    listed = json.loads(at_home("keys", "list", "--json").stdout)
    assert [key["principal"] for key in listed["keys"]] == ["bob"]


def test_keys_alone_are_those_of_a_first_start_that_was_cut_off(
    at_home: Callable[..., Any], tmp_path: Path
) -> None:
    """A secret makes the keys as a start does, and no books: whoever only looks makes none either."""
    assert at_home("secrets", "set", "openai", "-", given="sk-1234567890abcdef\n").returncode == 0
    books = tmp_path / ".macroslow" / "books.sqlite"
    for command in LOOKS:
        ran = at_home(*command)
        assert (ran.returncode, "nothing was kept in it yet" in ran.stderr) == (78, True)
        assert books.stat().st_size == 0
    assert at_home("keys", "create", "ann").returncode == 0
    assert at_home("audit", "verify").returncode == 0


def test_a_log_without_entries_is_not_called_sound(at_home: Callable[..., Any], tmp_path: Path) -> None:
    async def begin() -> None:
        async with open_core(settings_of(tmp_path / "macroslow.toml")):
            pass

    asyncio.run(begin())
    ran = at_home("audit", "verify")
    assert (ran.returncode, ran.stdout) == (2, "")
    assert "cannot decide: the log has no entries" in ran.stderr
    told = json.loads(at_home("audit", "verify", "--json").stdout)
    assert (told["entries"], told["decided"]) == (0, False)
