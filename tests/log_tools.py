"""Programs of others that read, check and witness logs: installed as the locks say, or not used.

`tests/clients/tlog/.venv/bin` has `aics-tlog` (an auditor, https://c2sp.org/tlog-tiles) and `aics-witness`
(a witness, https://c2sp.org/tlog-witness); both know Ed25519 alone. Go's code for logs is a
package of Debian's.
"""

import hashlib
import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest
from tests.conftest import ROOT

AICS: Final = ROOT / "tests" / "clients" / "tlog"
GO_PACKAGES: Final = Path("/usr/share/gocode")  # where Debian puts them


def aics(command: str) -> Path:
    """The path of `aics-tlog` or `aics-witness`; without them the test skips."""
    lock = (AICS / "requirements.txt").read_bytes()
    mark = AICS / ".venv" / ".lock.sha256"
    if not mark.is_file() or mark.read_text().strip() != hashlib.sha256(lock).hexdigest():
        pytest.skip(f"tests/clients/install has not installed what {AICS.relative_to(ROOT)} needs")
    return AICS / ".venv" / "bin" / command


def require_go() -> None:
    """Without Go and its code for logs the test skips."""
    if not (shutil.which("go") and (GO_PACKAGES / "src/golang.org/x/mod/sumdb/tlog").is_dir()):
        pytest.skip("no Go with golang.org/x/mod on this machine: .ci/servers installs both")


def built_with_go(program: Path, folder: Path) -> Path:
    """A program of ours over Go's own code for logs, built into `folder`; without Go the test skips."""
    require_go()
    settings = {"GO111MODULE": "off", "GOPATH": str(GO_PACKAGES), "GOCACHE": str(folder), "GOFLAGS": ""}
    target = folder / program.stem
    subprocess.run(["go", "build", "-o", target, program], env={**os.environ, **settings}, check=True)
    return target
