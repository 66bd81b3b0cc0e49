"""One start of a program in its box: its streams, how it ended, and the end of everything in it."""

import asyncio
import contextlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from macroslow.adapters.sandbox import _verdict as verdict
from macroslow.adapters.sandbox._cgroup import MemoryGroup
from macroslow.adapters.sandbox._channel import (
    receive,
    sealed_file,
    undisturbed,
    wait_readable,
    wait_writable,
)
from macroslow.adapters.sandbox._meter import Meter
from macroslow.adapters.sandbox._process import Process
from macroslow.adapters.sandbox._stderr import Ring
from macroslow.adapters.sandbox.inside import wire
from macroslow.errors import SandboxUnavailableError
from macroslow.workflow.box import Program

_START_S: Final = 20.0
_SAMPLE_S: Final = 0.1
_LOOK_S: Final = 0.5
_LAST_WORDS_S: Final = 1.0
_MIB: Final = 1024 * 1024


@dataclass(slots=True, eq=False)
class Box:
    """A running program. Only `begin` starts it; `close` leaves nothing of it.

    One task may read, and one at a time may write.
    """

    program: Program
    process: Process
    meter: Meter
    stack: contextlib.AsyncExitStack  # undoes all of it
    _stdin: int = -1
    _stdout: int = -1
    _errors: Ring = field(init=False)
    _over_memory: bool = False
    _watch: "asyncio.Task[str] | None" = None
    _helpers: "list[asyncio.Task[None]]" = field(default_factory=list)

    def __post_init__(self) -> None:
        self._errors = Ring(self.program.name)

    async def begin(self, environment: Mapping[str, str]) -> None:
        """Hand over streams and environment. SandboxUnavailableError if the program cannot be started."""
        self._errors.hidden = tuple(environment.values())
        ends = [*_pipe(), *_pipe(), *_pipe()]
        stdin, self._stdin, self._stdout, stdout, errors, stderr = ends
        for ours in (self._stdin, self._stdout, errors):
            os.set_blocking(ours, False)
        self.stack.callback(self._close_streams, errors)
        self.stack.push_async_callback(self._stop_helpers)
        brief = sealed_file(json.dumps({"environment": dict(environment)}).encode())
        try:
            wire.send(self.process.control, {"kind": "begin"}, [brief, stdin, stdout, stderr])
        except OSError:
            pass  # it has died: said where its answer is waited for
        finally:
            for descriptor in (brief, stdin, stdout, stderr):
                os.close(descriptor)
        self._helpers.append(asyncio.create_task(self._errors.read(errors)))
        await self._started()
        self._watch = asyncio.create_task(self._wait_for_end())
        self._helpers.append(asyncio.create_task(self._hold_memory()))

    async def _started(self) -> None:
        try:
            async with asyncio.timeout(_START_S):
                message, _ = await receive(self.process.control)
        except (EOFError, TimeoutError):
            raise SandboxUnavailableError("its box died") from None
        if message["kind"] != "started":
            raise SandboxUnavailableError(str(message["error"]))

    async def read(self, most_bytes: int) -> bytes:
        """What the program wrote, b"" once nothing of it can write any more."""
        while True:
            try:
                return os.read(self._stdout, most_bytes)
            except BlockingIOError:
                await wait_readable(self._stdout)

    async def write(self, data: bytes) -> None:
        """Return once the program's pipe has taken all of it. BrokenPipeError if it reads no more."""
        view = memoryview(data)
        while view:
            try:
                view = view[os.write(self._stdin, view) :]
            except BlockingIOError:
                await wait_writable(self._stdin)

    def hang_up(self) -> None:
        """Close the program's standard input: a server ends of itself then."""
        if self._stdin >= 0:
            os.close(self._stdin)
            self._stdin = -1

    async def ended(self) -> str:
        """How the program ended, in one sentence, once it has."""
        if self._watch is None:
            raise RuntimeError("a box that was not begun")
        return await asyncio.shield(self._watch)

    def last_words(self) -> str:
        """The end of what it wrote to its standard error, in one harmless line, for the operator."""
        return self._errors.last

    async def close(self) -> None:
        """End everything in the box, at once. Nobody may read, write or wait for its end any more."""
        await undisturbed(self.stack.aclose())

    async def _stop_helpers(self) -> None:
        helpers = {task for task in (*self._helpers, self._watch) if task is not None}
        for task in helpers:
            task.cancel()
        if helpers:
            await asyncio.wait(helpers)

    def _close_streams(self, errors: int) -> None:
        self.hang_up()
        os.close(self._stdout)
        os.close(errors)

    async def _wait_for_end(self) -> str:
        report: Mapping[str, Any] = {}
        with contextlib.suppress(EOFError):
            report, _ = await receive(self.process.control)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_START_S):  # init ends after its last word, and all else with it
                await wait_readable(self.process.pidfd)
        await asyncio.wait(self._helpers[:1], timeout=_LAST_WORDS_S)  # its errors, to their end
        return self._sentence(report)

    def _sentence(self, report: Mapping[str, Any]) -> str:
        if self._over_memory or _kills(self.meter.group):
            return f"it needed more than its {self.program.limits.memory_bytes // _MIB} MiB of memory"
        if report.get("signal") is not None:
            return f"it was killed by {verdict.name_of(report['signal'])}"
        if report.get("exit_code") is not None:
            return f"it ended with exit code {report['exit_code']}"
        return "its box was ended"

    async def _hold_memory(self) -> None:
        """End all of it when a part was killed for the memory of the whole, or where no group counts it."""
        group = self.meter.group
        while not self._over_memory:
            await asyncio.sleep(_SAMPLE_S if group is None else _LOOK_S)
            if group is None:
                self.meter.sample()
            over = self.meter.memory_bytes > self.program.limits.memory_bytes
            self._over_memory = over if group is None else _kills(group) > 0
        self.process.kill()


def _kills(group: MemoryGroup | None) -> int:
    return group.oom_kills() if group is not None else 0


def _pipe() -> tuple[int, int]:
    return os.pipe2(os.O_CLOEXEC)
