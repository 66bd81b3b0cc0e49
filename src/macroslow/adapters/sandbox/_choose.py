"""Which sandbox works here: every backend is tried for real, with a print and a call to the egress."""

import asyncio
import contextlib
import errno
import os
import platform
import socket
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from macroslow.adapters.sandbox._backend import NoSandbox, ProcessSandbox
from macroslow.adapters.sandbox._profile import folders, sandbox_uid
from macroslow.adapters.sandbox._zygote import Launcher
from macroslow.adapters.sandbox.inside import landlock
from macroslow.adapters.sandbox.inside.wire import LANDLOCK, NATIVE
from macroslow.errors import SandboxUnavailableError
from macroslow.workflow.sandbox import Block, BlockStatus, Job, Level, Limits, Sandbox

BACKENDS: Final = (NATIVE, LANDLOCK)
_SPARES: Final = 2
_GREETING: Final = b"works"
_TRIAL_CODE: Final = """
import os, socket
print(1)
with socket.create_connection(("127.0.0.1", int(os.environ["PORT"])), timeout=5) as way_out:
    print(way_out.recv(16).decode())
"""
_TRIAL: Final = Job(
    run_id="trial",
    blocks=(Block("python", "trial", _TRIAL_CODE), Block("bash", "trial", "echo 2")),
    inputs={},
    limits=Limits(wall_s=10.0),
    environment={"PORT": "{port}"},
    wants_egress=True,
)


@dataclass(frozen=True, slots=True)
class BackendReport:
    """What a trial of one backend showed; `reason` and `repair` are empty if it works."""

    backend: str
    works: bool
    level: Level
    reason: str
    repair: str


async def choose(*, preferred: str = "auto", launcher: Launcher | None = None) -> Sandbox:
    """Return the strongest sandbox that works here, or the `preferred` one; else one that refuses.

    Zygotes of level *full* are started by `launcher`, if there is one. ValueError for an unknown name.
    """
    if preferred not in {"auto", "none", *BACKENDS}:
        raise ValueError(f"no sandbox is called {preferred!r}: choose auto, none or one of {BACKENDS}")
    if preferred == "none":
        return NoSandbox("the configuration says that no code is run", 'write [sandbox] backend = "auto"')
    reports = []
    for backend in BACKENDS if preferred == "auto" else (preferred,):
        sandbox, report = await _try(backend, launcher if backend == NATIVE else None)
        if sandbox is not None:
            sandbox.keep_spares(_SPARES)  # only now: those of a trial's kind fit no job
            return sandbox
        reports.append(report)
    reason = "; ".join(f"{report.backend}: {report.reason}" for report in reports)
    return NoSandbox(f"no sandbox works here: {reason}", reports[0].repair)


async def probe() -> list[BackendReport]:
    """Try every backend, strongest first, and report."""
    reports = []
    for backend in BACKENDS:
        sandbox, report = await _try(backend)
        if sandbox is not None:
            await sandbox.close()
        reports.append(report)
    return reports


async def _try(backend: str, launcher: Launcher | None = None) -> tuple[ProcessSandbox | None, BackendReport]:
    reason = _unfit(backend)
    if not reason:
        sandbox = ProcessSandbox(backend, launcher=launcher)
        try:
            await _trial(sandbox)
        except SandboxUnavailableError as error:
            await sandbox.close()
            reason = error.detail
        except BaseException:
            await sandbox.close()
            raise
        else:
            return sandbox, BackendReport(backend, True, sandbox.level, "", "")
    return None, BackendReport(backend, False, Level.NONE, reason, repair(reason))


async def _trial(sandbox: ProcessSandbox) -> None:
    """Run a print, an egress call and a shell; raises SandboxUnavailableError unless all work."""
    outcome = await sandbox.run(_TRIAL, _greet)
    for block in outcome.blocks:
        if block.status is not BlockStatus.OK:
            raise SandboxUnavailableError(f"a trial run failed: {block.error or block.status.value}")
    if [block.stdout for block in outcome.blocks] != [f"1\n{_GREETING.decode()}\n", "2\n"]:
        raise SandboxUnavailableError("a trial run did not print what it should")


@contextlib.asynccontextmanager
async def _greet(listener: socket.socket) -> AsyncIterator[None]:
    async def serve(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(_GREETING)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, sock=listener):
        yield


def _unfit(backend: str) -> str:
    """What can be told without a trial."""
    if sys.platform != "linux":
        return f"code blocks need Linux; this is {platform.system()}"
    if backend == LANDLOCK:
        if landlock.abi() < landlock.TCP_ABI:
            return f"Landlock here has ABI {landlock.abi()}; {landlock.TCP_ABI} (Linux 6.7) is needed"
        if os.geteuid() == 0 and (closed := _closed_to_others()):
            return f"user {sandbox_uid()}, whom the sandbox runs as, may not enter {closed}"
    return ""


def _closed_to_others() -> str:
    """The first folder on the way to the interpreter or its packages that only its owner may enter."""
    for path in map(Path, folders()):
        for folder in (*reversed(path.parents), path):
            if not folder.stat().st_mode & 0o001:
                return str(folder)
    return ""


def repair(reason: str) -> str:
    """One line that mends the usual causes."""
    if sys.platform != "linux":
        return "run the gateway on Linux, or in a Linux container"
    if "may not enter" in reason:
        return "install Python and the gateway outside closed folders, for example in /opt"
    if "Landlock" in reason:
        return "use Linux 6.7 or later"
    if os.strerror(errno.ENOSYS) in reason:
        return "use Linux 5.12 or later"
    if _sysctl("kernel/apparmor_restrict_unprivileged_userns") == "1":
        return "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0"
    if _sysctl("kernel/unprivileged_userns_clone") == "0":
        return "sysctl -w kernel.unprivileged_userns_clone=1"
    if _sysctl("user/max_user_namespaces") == "0":
        return "sysctl -w user.max_user_namespaces=10000"
    if os.strerror(errno.EPERM) in reason or os.strerror(errno.EACCES) in reason:
        return "in a container: allow namespaces, for example --security-opt seccomp=unconfined"
    return ""


def _sysctl(name: str) -> str:
    try:
        return Path("/proc/sys", name).read_text().strip()
    except OSError:
        return ""
