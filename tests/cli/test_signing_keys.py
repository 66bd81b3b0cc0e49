"""The keys that sign as commands find them: absent, in another place than is said, or moved there."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

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
