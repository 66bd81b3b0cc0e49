"""Commands as a person starts them: with a folder, an environment and streams."""

import contextlib
import io
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from macroslow.cli._main import run

Ran = subprocess.CompletedProcess[str]
ENVIRON = {"PATH": os.defpath, "LC_ALL": "C.UTF-8", "XDG_STATE_HOME": os.environ["XDG_STATE_HOME"]}


@pytest.fixture
def process(tmp_path: Path) -> Callable[..., Ran]:
    """Run `macroslow ARGUMENTS…` as a process in the test's folder, with an environment of its own."""

    def ran(*arguments: str, given: str = "", environ: dict[str, str] | None = None) -> Ran:
        command = [sys.executable, "-m", "macroslow", *arguments]
        env = {**ENVIRON, **(environ or {})}
        return subprocess.run(
            command,
            cwd=tmp_path,
            input=given,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env=env,
        )

    return ran


@pytest.fixture
def macroslow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Ran]:
    """The same in this process, for the many cases where another one would show nothing more."""

    def ran(
        *arguments: str, given: str = "", environ: dict[str, str] | None = None, at: Path = tmp_path
    ) -> Ran:
        out, err = io.StringIO(), io.StringIO()
        with monkeypatch.context() as patch, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            patch.chdir(at)
            patch.setattr(sys, "stdin", io.StringIO(given))
            patch.setattr(os, "environ", {**ENVIRON, **(environ or {})})
            code = run(arguments)
        return subprocess.CompletedProcess(arguments, code, out.getvalue(), err.getvalue())

    return ran
