"""The unit that a page gives to systemd: what it names exists, and nothing in it takes the sandbox away."""

import configparser
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.conftest import ROOT
from tests.docs.page import read_blocks

from macroslow.cli._table import COMMANDS
from macroslow.cli.console.errors import BAD_CONFIGURATION
from macroslow.settings.model import Settings

PAGE = ROOT / "docs" / "how-to" / "put-into-production.md"
BREAK_THE_SANDBOX = {"ProtectKernelTunables", "ProtectKernelLogs", "RestrictNamespaces", "SystemCallFilter"}


@pytest.fixture
def unit() -> str:
    return next(block.text for block in read_blocks(PAGE) if block.text.startswith("[Unit]"))


def service(unit: str) -> dict[str, str]:
    parser = configparser.RawConfigParser(strict=True)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(unit)
    return dict(parser["Service"])


def test_the_unit_starts_commands_that_there_are_and_knows_their_exit_code(unit: str) -> None:
    told = service(unit)
    assert {told[name].split()[1] for name in ("ExecStart", "ExecStartPre")} <= set(COMMANDS)
    assert int(told["RestartPreventExitStatus"]) == BAD_CONFIGURATION
    assert int(told["TimeoutStopSec"]) > Settings().server.shutdown_grace_s + 10
    state, keys, mark = told["StateDirectory"].split()  # what signs, and what was signed, are kept apart
    assert told["WorkingDirectory"] == f"/var/lib/{state}"
    assert len({state, keys, mark}) == 3


def test_the_unit_leaves_the_sandbox_what_it_is_made_of(unit: str) -> None:
    assert not BREAK_THE_SANDBOX & set(service(unit))


def test_systemd_takes_the_unit(unit: str, tmp_path: Path) -> None:
    if not shutil.which("systemd-analyze"):
        pytest.skip("no systemd-analyze on this machine")
    file = tmp_path / "macroslow.service"
    file.write_text(re.sub(r"/opt/macroslow/bin/macroslow", sys.executable, unit))
    ran = subprocess.run(["systemd-analyze", "verify", file], capture_output=True, text=True, check=False)
    assert (ran.returncode, [line for line in ran.stderr.splitlines() if "macroslow" in line]) == (0, [])
