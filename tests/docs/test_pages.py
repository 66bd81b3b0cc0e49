"""Every page of the project is executed: commands in one shell, files checked, servers started."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.conftest import ROOT
from tests.docs.checks import execute_page
from tests.docs.page import read_blocks
from tests.log_tools import aics, require_go
from tests.node import AGENTS, SDKS, commands_of, path_to_mcp

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
FIRST = {ROOT / "README.md", ROOT / "docs" / "tutorial" / "first-ten-minutes.md"}
NEEDS_SANDBOX = "<!-- needs a sandbox -->"
NEEDS_NPM = "<!-- needs clients from npm -->"
NEEDS_INSPECTOR = "<!-- needs the MCP Inspector -->"
NEEDS_GO = "<!-- needs Go -->"
NEEDS_WITNESS = "<!-- needs a witness -->"


@pytest.fixture(scope="module")
def sandbox_works() -> bool:
    """Whether code blocks can run on this machine."""
    doctor = subprocess.run([sys.executable, "-m", "macroslow", "doctor"], capture_output=True, check=False)
    return doctor.returncode == 0


def in_its_time(page: Path) -> object:
    """As a parameter: what is read first is always lived through, other pages with commands are a sweep."""
    slow = page not in FIRST and "```console" in page.read_text(encoding="utf-8")
    return pytest.param(page, id=str(page.relative_to(ROOT)), marks=pytest.mark.sweep if slow else ())


@pytest.mark.timeout(600)  # a page is many commands, and the machine may be busy
@pytest.mark.parametrize("page", [in_its_time(page) for page in PAGES])
def test_what_the_page_shows_is_what_happens(
    page: Path, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocks = read_blocks(page)
    if any(block.kind == "console" for block in blocks):
        for tool in ("bash", "curl"):
            if not shutil.which(tool):
                pytest.skip(f"no {tool} on this machine")
    if NEEDS_SANDBOX in page.read_text(encoding="utf-8") and not request.getfixturevalue("sandbox_works"):
        pytest.skip("no sandbox works on this machine")
    if NEEDS_NPM in page.read_text(encoding="utf-8"):
        monkeypatch.setenv("PATH", f"{commands_of(AGENTS)}{os.pathsep}{os.environ['PATH']}")
        (tmp_path / "node_modules").symlink_to(commands_of(SDKS).parent)
    if NEEDS_INSPECTOR in page.read_text(encoding="utf-8"):
        monkeypatch.setenv("PATH", path_to_mcp())
    if NEEDS_GO in page.read_text(encoding="utf-8"):
        require_go()
    if NEEDS_WITNESS in page.read_text(encoding="utf-8"):
        (tmp_path / "bin").mkdir()
        (tmp_path / "bin" / "aics-witness").symlink_to(aics("aics-witness"))
        monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    execute_page(page, tmp_path)
