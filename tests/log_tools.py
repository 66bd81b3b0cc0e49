"""Programs of others that read, check and witness logs: installed as the locks say, or not used.

`tests/clients/tlog/.venv/bin` has `aics-tlog` (an auditor, https://c2sp.org/tlog-tiles) and `aics-witness`
(a witness, https://c2sp.org/tlog-witness); both know Ed25519 alone.
"""

import hashlib
from pathlib import Path
from typing import Final

import pytest
from tests.conftest import ROOT

AICS: Final = ROOT / "tests" / "clients" / "tlog"


def aics(command: str) -> Path:
    """The path of `aics-tlog` or `aics-witness`; without them the test skips."""
    lock = (AICS / "requirements.txt").read_bytes()
    mark = AICS / ".venv" / ".lock.sha256"
    if not mark.is_file() or mark.read_text().strip() != hashlib.sha256(lock).hexdigest():
        pytest.skip(f"tests/clients/install has not installed what {AICS.relative_to(ROOT)} needs")
    return AICS / ".venv" / "bin" / command
