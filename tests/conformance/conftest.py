"""Servers for the suites, as processes of their own."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.conftest import ROOT
from tests.node import path_to_mcp

START = Path(__file__).with_name("servers.py")


@contextmanager
def serving(folder: Path, *command: str) -> Iterator[str]:
    """The URL of a server that says it in the first line that it prints."""
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
        url = process.stdout.readline().split("listens on ")[-1].split()
        assert url, (folder / "err").read_text()
        yield url[0]
    finally:
        process.terminate()
        process.wait(60)
        process.stdout.close()


@pytest.fixture(scope="session")
def conformance_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """`macroslow serve --conformance`, once the suites are there to ask it."""
    path_to_mcp()
    command = ("-m", "macroslow", "serve", "--conformance", "--listen", "127.0.0.1:0")
    with serving(tmp_path_factory.mktemp("conformance"), *command) as url:
        yield url
