"""The Python that `make` takes: this one, unless another one here needs a tenth less for the same work."""

import importlib.util
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).parents[2] / "tools" / "fastest_python.py"

Machine = Callable[..., str | None]


@pytest.fixture
def tool(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script, imported as nobody else has it."""
    spec = importlib.util.spec_from_file_location("fastest_python", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def chosen(tool: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """What is chosen on a machine of programs that do as these lines of shell say; this one's is `here`."""

    def choose(here: str, *others: str) -> str | None:
        paths = []
        for at, does in enumerate((here, *others)):
            path = tmp_path / f"python{at}"
            path.write_text(f"#!/bin/sh\n{does}\n")
            path.chmod(0o700)
            paths.append(str(path))
        monkeypatch.setattr(tool.sys, "executable", paths[0])
        monkeypatch.setattr(tool, "CANDIDATES", (*paths[1:], str(tmp_path / "missing")))
        found: str | None = tool.fastest()
        return found and Path(found).name

    return choose


OLD = "exit 1"


def test_one_that_needs_a_fifth_less_is_taken(chosen: Machine) -> None:
    assert chosen("echo 0.010", "echo 0.012", "echo 0.008") == "python2"


def test_for_a_twentieth_nobody_is_sent_elsewhere(chosen: Machine) -> None:
    assert chosen("echo 0.0100", "echo 0.0095") == "python0"


def test_one_that_is_too_old_names_another_however_slow(chosen: Machine) -> None:
    assert chosen(OLD, "echo 9.5") == "python1"


def test_one_that_fails_is_never_taken(chosen: Machine) -> None:
    assert chosen("echo 0.010", "echo 0.001; exit 1", "echo 0.009; kill -9 $$") == "python0"


def test_one_that_says_something_else_is_never_taken(chosen: Machine) -> None:
    assert chosen("echo 0.010", "echo hello; echo 0.001") == "python0"


def test_nothing_of_the_folder_is_imported(tmp_path: Path) -> None:
    (tmp_path / "ensurepip.py").write_text("open('ran', 'w')\n")
    subprocess.run([sys.executable, str(SCRIPT)], check=True, capture_output=True, cwd=tmp_path)
    assert not (tmp_path / "ran").exists()


def test_where_all_are_too_old_there_is_none(chosen: Machine) -> None:
    assert chosen(OLD, OLD) is None


def test_on_this_machine_it_prints_one_that_can_make_the_environment() -> None:
    found = subprocess.run([sys.executable, str(SCRIPT)], check=True, capture_output=True, text=True)
    probe = "import ensurepip, sys, venv; print(sys.version_info >= (3, 11))"
    assert subprocess.check_output([found.stdout.strip(), "-c", probe], text=True) == "True\n"
