"""Programs from npm that tests run: installed under `tests/clients` exactly as its locks say, or not used."""

import hashlib
import shutil
from pathlib import Path
from typing import Final

import pytest
from tests.conftest import ROOT

SDKS: Final = ROOT / "tests" / "clients"
AGENTS: Final = SDKS / "agents"
ISSUER: Final = SDKS / "issuer"


def commands_of(folder: Path) -> Path:
    """The folder of the commands that the packages of `folder` have; without them the test skips."""
    if not (shutil.which("node") and shutil.which("npm")):
        pytest.skip("no Node.js with npm on this machine")
    lock = (folder / "package-lock.json").read_bytes()
    mark = folder / "node_modules" / ".lock.sha256"
    if not mark.is_file() or mark.read_text().strip() != hashlib.sha256(lock).hexdigest():
        pytest.skip(f"tests/clients/install has not installed what {folder.relative_to(ROOT)} needs")
    return folder / "node_modules" / ".bin"
