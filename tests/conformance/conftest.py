"""Servers for the suites, as processes of their own."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.conftest import ROOT

from macroslow import control

SERVERS = Path(__file__).with_name("servers.py")


@dataclass(frozen=True)
class Served:
    """A server for the suites, and what the operator of this machine can do with it."""

    url: str
    state: Path
    notes: tuple[str, ...]

    def key(self, principal: str, **rights: object) -> str:
        """A client key of its own."""
        made = control.call(self.state / "control.sock", "keys.create", {"principal": principal, **rights})
        assert isinstance(made, dict)
        return str(made["key"])


@contextmanager
def serving(folder: Path, *command: str) -> Iterator[Served]:
    """A server that says in the first line that it prints where it serves."""
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(folder), "PYTHONPATH": str(ROOT)}
    with (folder / "err").open("w") as errors:
        process = subprocess.Popen(
            [sys.executable, *command],
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert line, (folder / "err").read_text()
        said = json.loads(line)
        yield Served(said["url"], Path(said["state"]), tuple(said["notes"]))
    finally:
        process.terminate()
        process.wait(60)
        process.stdout.close()


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """`macroslow serve --conformance`, for all tests of this folder."""
    command = ("-m", "macroslow", "serve", "--conformance", "--listen", "127.0.0.1:0", "--json")
    with serving(tmp_path_factory.mktemp("conformance"), *command) as found:
        yield found
    assert not found.state.exists()  # nothing is left of it
