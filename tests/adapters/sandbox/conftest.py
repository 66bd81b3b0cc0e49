"""Gateways of every kind that this machine can have, each in a process of its own."""

import contextlib
import fcntl
import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from macroslow.adapters.sandbox.inside import landlock
from macroslow.adapters.sandbox.inside.wire import LANDLOCK, NATIVE
from macroslow.workflow.box import Mount
from macroslow.workflow.sandbox import Block, BlockOutcome, BlockStatus, Level, Outcome

NOBODY = 65_534
KINDS = [
    pytest.param((NATIVE, 0), id="native-root"),
    pytest.param((NATIVE, NOBODY), id="native-user"),
    pytest.param((LANDLOCK, 0), id="landlock-root"),
    pytest.param((LANDLOCK, NOBODY), id="landlock-user"),
]


class Gateway:
    """Drives one `gateway_process.py`."""

    def __init__(self, backend: str, uid: int, folder: Path) -> None:
        self.backend = backend
        self.folder = folder
        self.secret = f"MARK-OF-{secrets.token_hex(12)}"
        script = str(Path(__file__).with_name("gateway_process.py"))
        self.process = subprocess.Popen(
            [sys.executable, script, "enter", str(uid), backend, str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={"SECRET": self.secret},
        )
        hello = self._read()
        self.places: dict[str, list[Any]] = hello["places"]
        self.counts_memory: bool = hello["counts_memory"]

    def _read(self) -> Any:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, "the gateway process died"
        return json.loads(line)

    def run(self, *blocks: Block, inputs: Any = None, **job: Any) -> Outcome:
        """Run one job; the secret must be in nothing that comes back."""
        assert self.process.stdin is not None
        given = {"run_id": "r", "inputs": self.places if inputs is None else inputs, **job}
        given["blocks"] = [
            {"language": b.language, "name": b.name, "code": b.code, "line": b.line, "timeout_s": b.timeout_s}
            for b in blocks
        ]
        self.process.stdin.write(json.dumps(given) + "\n")
        self.process.stdin.flush()
        answer = self._read()
        assert self.secret not in json.dumps(answer)
        outcomes = [BlockOutcome(**{**b, "status": BlockStatus(b["status"])}) for b in answer["blocks"]]
        result = answer["result_json"]
        return Outcome(
            tuple(outcomes),
            None if result is None else result.encode(),
            answer["backend"],
            Level(answer["level"]),
        )

    def run_in_a_box(self, program: str, **options: Any) -> dict[str, str]:
        """Run Python code as an operator's program: what it wrote, and how it ended. No secret comes back."""
        assert self.process.stdin is not None
        given = {"program": program, "inputs": self.places, **options}
        self.process.stdin.write(json.dumps(given) + "\n")
        self.process.stdin.flush()
        answer: dict[str, str] = self._read()
        assert self.secret not in json.dumps(answer)
        return answer

    def close(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait(20)
        self.process.stdout.close()


@pytest.fixture(scope="session", params=KINDS)
def gateway_of_a_kind(request: pytest.FixtureRequest) -> Iterator[Gateway]:
    with started(*request.param) as gateway:
        yield gateway


@pytest.fixture
def gateway(gateway_of_a_kind: Gateway, tasks_lock: Path) -> Iterator[Gateway]:
    with undisturbed(gateway_of_a_kind, tasks_lock):
        yield gateway_of_a_kind


@pytest.fixture(scope="session", params=KINDS[:2])
def box_gateway_of_a_kind(request: pytest.FixtureRequest) -> Iterator[Gateway]:
    with started(*request.param) as gateway:
        yield gateway


@pytest.fixture
def box_gateway(box_gateway_of_a_kind: Gateway, tasks_lock: Path) -> Iterator[Gateway]:
    with undisturbed(box_gateway_of_a_kind, tasks_lock):
        yield box_gateway_of_a_kind


@pytest.fixture(scope="session")
def tasks_lock(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file in the temporary folder of the run, the same for all its workers."""
    own = tmp_path_factory.getbasetemp()
    return (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "sandbox-tasks.lock"


@contextlib.contextmanager
def undisturbed(gateway: Gateway, lock: Path) -> Iterator[None]:
    """No other worker's sandbox runs beside one of Landlock.

    Without a user namespace of its own, its limit of processes counts all tasks of its user: those of other
    sandboxes too, of whatever kind.
    """
    with lock.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX if gateway.backend == LANDLOCK else fcntl.LOCK_SH)
        yield


@contextlib.contextmanager
def started(backend: str, uid: int) -> Iterator[Gateway]:
    if os.geteuid() != 0 and uid == 0:
        pytest.skip("needs root")
    if backend == LANDLOCK and landlock.abi() < landlock.TCP_ABI:
        pytest.skip("no Landlock of ABI 4 here")
    folder = Path(tempfile.mkdtemp(prefix="sandbox-test-"))
    folder.chmod(0o755)
    if os.geteuid() == 0:
        os.chown(folder, uid, uid)
    gateway = Gateway(backend, uid if os.geteuid() == 0 else os.geteuid(), folder)
    yield gateway
    gateway.close()
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def box_python() -> tuple[tuple[str, ...], tuple[Mount, ...]]:
    """A command that runs what follows as Python in a box, and the mounts that it needs."""
    prefix = Path(sys.base_prefix).resolve()
    mounts = () if prefix.is_relative_to("/usr") else (Mount(str(prefix), writable=False),)
    return (str(Path(sys.executable).resolve()), "-I", "-S", "-c"), mounts
