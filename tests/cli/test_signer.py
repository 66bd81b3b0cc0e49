"""`macroslow signer`: what would undo it is refused before a key is made, and Ctrl-C is its ordinary end."""

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests import users

GOOD = {"--keys": "/own/keys", "--marks": "/own/marks", "--listen": "/run/x/signer.sock"}


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"--marks": "/own/keys"}, "lies in"),
        ({"--marks": "/own/keys/marks"}, "--marks /own/keys/marks lies in --keys /own/keys"),
        ({"--keys": "/own/marks/keys"}, "--keys /own/marks/keys lies in --marks /own/marks"),
        ({"--keys": "/own/marks/../marks/keys"}, "lies in --marks"),
        ({"--listen": "/own/keys/signer.sock"}, "lies in --keys"),
        ({"--listen": "127.0.0.1:99"}, "--listen 127.0.0.1:99 is no path from / on"),
        ({"--listen": "unix:/run/x/signer.sock"}, "is no path from / on"),
        ({"--keys": "keys"}, "--keys keys is no path from / on"),
        ({"--marks": "./marks"}, "--marks marks is no path from / on"),
    ],
    ids=range(9),
)
def test_places_that_undo_it_are_refused(
    macroslow: Callable[..., Any], tmp_path: Path, changed: dict[str, str], why: str
) -> None:
    options = [part for option in (GOOD | changed).items() for part in option]
    ran = macroslow("signer", *options, "--allow-user", "12345")
    assert (ran.returncode, why in ran.stderr, "fix: " in ran.stderr) == (78, True, True), ran.stderr
    assert not [*tmp_path.iterdir()]


def test_folders_that_are_one_by_a_link_are_refused(macroslow: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir()
    (tmp_path / "marks").symlink_to("keys")
    places = ("--keys", f"{tmp_path}/keys", "--marks", f"{tmp_path}/marks", "--listen", f"{tmp_path}/sock")
    ran = macroslow("signer", *places, "--allow-user", "12345")
    assert (ran.returncode, "lies in" in ran.stderr) == (78, True)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_its_end_is_good_and_without_a_word(number: signal.Signals) -> None:
    users.need_them()
    with users.open_folder() as folder:
        users.own_folder(folder / "own", users.SIGNER)
        options = {"--keys": "own/keys", "--marks": "own/marks", "--listen": "own/signer.sock"}
        places = [part for option, name in options.items() for part in (option, f"{folder}/{name}")]
        process = users.start(users.SIGNER, "-m", "macroslow", "signer", *places, "--allow-user", "0")
        assert process.stdout is not None
        assert "listens" in process.stdout.readline()
        process.send_signal(number)
        said = process.communicate(timeout=60)
        assert (process.returncode, said) == (0, ("", ""))
        assert not (folder / "own" / "signer.sock").exists()
