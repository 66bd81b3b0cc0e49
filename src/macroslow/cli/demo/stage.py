"""Where the demo plays: a temporary folder, the processes in it, and an end that leaves nothing behind.

Every command is the real command line in a process of its own, with an environment that has nothing
of the caller's but what programs need to run: no key, proxy or setting of his takes part.
"""

import asyncio
import contextlib
import json
import os
import resource
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import aiohttp

from macroslow.errors import MacroslowError

START_S: Final = 30.0
STOP_S: Final = 5.0
REQUEST_S: Final = 60.0
OPEN_FILES: Final = 4096  # 400 calls at once are 400 sockets here and 800 in the gateway
INHERITED: Final = ("PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "LD_LIBRARY_PATH")
_COMMAND: Final = (sys.executable, "-P", "-m", "macroslow")


class StageError(MacroslowError):
    """A part of the demo's own set-up did not work: nothing was shown, for or against."""

    code = "demo-stage"
    title = "The demo could not be set up"


@dataclass(frozen=True, slots=True)
class Ran:
    """A command that has ended."""

    arguments: tuple[str, ...]
    code: int
    out: str
    err: str

    @property
    def words(self) -> str:
        """What it said, in its first line: the error if there is one."""
        text = (self.err or self.out).strip()
        return text.splitlines()[0].removeprefix("macroslow: ") if text else ""

    def data(self) -> dict[str, Any]:
        """The object that `--json` printed. Raises StageError if the command failed."""
        if self.code:
            raise StageError(f"macroslow {' '.join(self.arguments)} ended with {self.code}: {self.words}")
        parsed: dict[str, Any] = json.loads(self.out.splitlines()[-1])
        return parsed


@dataclass(slots=True)
class Stage:
    """The folder and what runs in it. Made by `set_up`."""

    folder: Path
    http: aiohttp.ClientSession
    _running: list[asyncio.subprocess.Process] = field(default_factory=list)

    def sub(self, name: str) -> Path:
        """A folder of one of the parties, made if it is not there."""
        path = self.folder / name
        path.mkdir(mode=0o700, exist_ok=True)
        return path

    async def command(self, *arguments: str, cwd: Path) -> Ran:
        """Run a command to its end."""
        process = await self._spawn(arguments, cwd, asyncio.subprocess.PIPE)
        try:
            out, err = await process.communicate()
        finally:
            await self.stop(process)
        return Ran(arguments, process.returncode or 0, out.decode(), err.decode())

    async def start(self, *arguments: str, cwd: Path) -> tuple[asyncio.subprocess.Process, dict[str, Any]]:
        """Start a server; return it and what it announced. Raises StageError if it does not start."""
        log = cwd / f"{arguments[0]}.log"
        with log.open("wb") as errors:
            process = await self._spawn(arguments, cwd, errors.fileno())
        assert process.stdout is not None  # noqa: S101 (a pipe was asked for)
        try:
            line = await asyncio.wait_for(process.stdout.readline(), START_S)
        except TimeoutError:
            line = b""
        if not line:
            raise StageError(f"macroslow {arguments[0]} did not start: {log.read_text().strip()[-500:]}")
        announced: dict[str, Any] = json.loads(line)
        return process, announced

    async def stop(self, process: asyncio.subprocess.Process) -> None:
        """End a process: asked first, then with all that it started."""
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            try:
                await asyncio.wait_for(process.wait(), STOP_S)
            except TimeoutError:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
        if process in self._running:
            self._running.remove(process)

    async def stop_all(self) -> None:
        """End whatever still runs."""
        await asyncio.gather(*(self.stop(process) for process in [*self._running]))

    async def _spawn(self, arguments: tuple[str, ...], cwd: Path, stderr: int) -> asyncio.subprocess.Process:
        process = await asyncio.create_subprocess_exec(
            *_COMMAND,
            *arguments,
            cwd=cwd,
            env=_environment(os.environ)
            | {"XDG_STATE_HOME": str(self.folder / "outside")},  # none of his home
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=stderr,
            start_new_session=True,  # Ctrl-C is for us, who end them in order
        )
        self._running.append(process)
        return process


@contextlib.asynccontextmanager
async def set_up(*, keep: bool) -> AsyncIterator[Stage]:
    """A stage in a new temporary folder; in the end every process is gone, and the folder unless kept."""
    _allow_many_sockets()
    folder = Path(tempfile.mkdtemp(prefix="macroslow-demo-"))
    timeout = aiohttp.ClientTimeout(total=REQUEST_S)
    try:
        async with aiohttp.ClientSession(timeout=timeout, connector=aiohttp.TCPConnector(limit=0)) as http:
            stage = Stage(folder, http)
            try:
                yield stage
            finally:
                await stage.stop_all()
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)


def _environment(caller: Mapping[str, str]) -> dict[str, str]:
    return {name: caller[name] for name in INHERITED if name in caller}


def _allow_many_sockets() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
