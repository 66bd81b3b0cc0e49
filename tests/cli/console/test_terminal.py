"""What documents print does nothing to the terminal of whoever runs them."""

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from tests.cli.test_operator import DOCUMENT

from macroslow.adapters.sandbox import probe

# Rename the window, write to the clipboard, clear the screen, the same introducer as one byte of C1.
CODE = """
```python
import sys
print("\\x1b]0;owned\\x07 \\x1b]52;c;bHM=\\x07 \\x1b[2J plain text")
print("\\x1b[2J", file=sys.stderr)
result = "\\x9b2J"
```
"""


async def works_here() -> bool:
    return any(report.works for report in await probe())


@pytest.fixture
async def document(tmp_path: Path) -> str:
    if not await works_here():
        pytest.skip("no sandbox works here")
    (tmp_path / "a.md").write_text(DOCUMENT.format(more="") + "\n## Code_Blocks\n" + CODE)
    return "a.md"


def on_a_terminal(*command: str, at: Path) -> bytes:
    ours, theirs = pty.openpty()
    environment = {"PATH": os.defpath, "LC_ALL": "C.UTF-8"}
    with subprocess.Popen(command, cwd=at, stdout=theirs, stderr=theirs, env=environment) as process:
        os.close(theirs)
        shown = b""
        try:
            while more := os.read(ours, 65536):
                shown += more
        except OSError:  # the other side is closed
            pass
        assert process.wait(60) == 0, shown
    os.close(ours)
    return shown


async def test_controls_are_shown_on_a_terminal_and_kept_in_a_file(document: str, tmp_path: Path) -> None:
    command = (sys.executable, "-m", "macroslow", "run", document)
    shown = on_a_terminal(*command, at=tmp_path).decode()
    assert "plain text" in shown
    assert "\\x1b]0;owned\\x07" in shown
    assert not {"\x1b", "\x07", "\x9b"} & set(shown)
    kept = subprocess.run(command, cwd=tmp_path, capture_output=True, check=True).stdout
    assert kept.startswith(b"\x1b]0;owned\x07")


def test_a_line_of_the_log_fits_the_terminal_and_is_whole_where_it_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "macroslow.toml").write_text('[sandbox]\nbackend = "none"\n')
    program = (sys.executable, "-m", "macroslow")
    subprocess.run(
        (*program, "keys", "create", "ann", "--budget", "1"), cwd=tmp_path, check=True, capture_output=True
    )
    (cut,) = on_a_terminal(*program, "audit", "tail", at=tmp_path).decode().splitlines()
    assert (len(cut), cut[-1], "principal=ann" in cut) == (80, "…", True)
    (whole,) = on_a_terminal(*program, "audit", "tail", "--wide", at=tmp_path).decode().splitlines()
    assert whole.startswith(cut[:-1])
    assert "key_id=" in whole
