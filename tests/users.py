"""Processes of other users of this machine: numbers that nobody has, and an interpreter that they may run."""

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from tests.conftest import ROOT

GATEWAY, SIGNER, STRANGER = 12_001, 12_002, 12_003
_INTERPRETERS = (sys.executable, f"/usr/bin/python{sys.version_info.major}.{sys.version_info.minor}")
_PACKAGES = [path for path in sys.path if Path(path).name in {"site-packages", "dist-packages"}]
ENVIRONMENT = {
    "PATH": os.defpath,
    "LC_ALL": "C.UTF-8",
    "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT), *_PACKAGES]),
    "PYTHONDONTWRITEBYTECODE": "1",
}


def start(uid: int, *arguments: str, **options: str) -> "subprocess.Popen[str]":
    """Start an interpreter as user `uid`, with what this one can import; `options`: its environment."""
    return subprocess.Popen(
        [interpreter(), *arguments],
        user=uid,
        group=uid,
        extra_groups=[],
        cwd="/",
        env=ENVIRONMENT | options,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(uid: int, *arguments: str, **options: str) -> "subprocess.CompletedProcess[str]":
    """As `start`, to its end."""
    with start(uid, *arguments, **options) as process:
        out, err = process.communicate(timeout=100)
    return subprocess.CompletedProcess(arguments, process.returncode, out, err)


def need_them() -> None:
    """Skip the test where this process can be nobody else."""
    if os.geteuid() != 0:
        pytest.skip("only root can be other users")
    interpreter()


@cache
def interpreter() -> str:
    """An interpreter of our version that other users may run, and the project with it."""
    for path in _INTERPRETERS:
        if _works(path):
            return path
    pytest.skip(f"no interpreter here runs the project as another user: {_INTERPRETERS}")


def _works(path: str) -> bool:
    try:
        done = subprocess.run(
            [path, "-m", "macroslow", "--version"],
            user=STRANGER,
            group=STRANGER,
            extra_groups=[],
            cwd="/",
            env=ENVIRONMENT,
            capture_output=True,
            check=False,
        )
    except OSError:
        return False
    return done.returncode == 0


@contextlib.contextmanager
def open_folder() -> Iterator[Path]:
    """A folder that everybody may enter, as those of tests are not."""
    with tempfile.TemporaryDirectory(prefix="macroslow-users-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


def own_folder(path: Path, uid: int, mode: int = 0o700) -> Path:
    """Make a folder of user `uid`."""
    path.mkdir()
    os.chown(path, uid, uid)
    path.chmod(mode)
    return path
