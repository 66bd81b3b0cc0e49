"""One run, driven from the gateway's side: blocks in order, limits held, statuses from evidence.

Whatever ends it (the last block, a limit, a cancelled caller), init is killed through its pidfd,
which the kernel turns into the death of everything in the run, and nothing is left open.
"""

import asyncio
import contextlib
import json
import os
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from macroslow.adapters.sandbox import _folder
from macroslow.adapters.sandbox import _verdict as verdict
from macroslow.adapters.sandbox._capture import Budget, Capture
from macroslow.adapters.sandbox._channel import sealed_file, undisturbed, wait_readable
from macroslow.adapters.sandbox._meter import INTERVAL_S, Meter
from macroslow.adapters.sandbox._process import Process
from macroslow.adapters.sandbox._verdict import Breach
from macroslow.adapters.sandbox.inside import wire
from macroslow.errors import SandboxUnavailableError
from macroslow.workflow.sandbox import Block, BlockOutcome, BlockStatus, Job

_BASE_URL: Final = "http://127.0.0.1:{port}"


@dataclass(frozen=True, slots=True)
class _Ended:
    """A block that was begun: what it wrote, what init said of its end (nothing if it was stopped)."""

    block: Block
    out: Capture
    err: Capture
    report: Mapping[str, Any]
    duration_ms: int

    def outcome(self, breach: Breach | None) -> BlockOutcome:
        return verdict.outcome(
            self.block, self.out.text, self.err.text, self.report, self.duration_ms, breach
        )


@dataclass(slots=True)
class Run:
    """Drives the blocks of `job` through `process`."""

    job: Job
    process: Process
    meter: Meter
    folder: str | None  # of a run without namespaces: its work folder, measured from here
    _started_s: float = field(default_factory=time.monotonic)
    _stopped: "asyncio.Future[Breach]" = field(init=False)  # by the first limit that was passed
    _output: Budget = field(init=False)
    _result: Capture | None = None
    _captures: list[Capture] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._stopped = asyncio.get_running_loop().create_future()
        self._output = Budget(self.job.limits.output_bytes, self._output_overrun)

    async def blocks(self) -> tuple[tuple[BlockOutcome, ...], bytes | None]:
        """Run all blocks; return their outcomes and the document's result."""
        ended: list[_Ended] = []
        async with self._watched():
            await self._begin()
            last_python = max(
                (i for i, b in enumerate(self.job.blocks) if b.language == "python"), default=-1
            )
            for index, block in enumerate(self.job.blocks):
                ended.append(await self._block(index, block, wants_result=index == last_python))
                if self._stopped.done() or ended[-1].report.get("exit_code") != 0:
                    break
        return self._judged(ended)

    def _judged(self, ended: Sequence[_Ended]) -> tuple[tuple[BlockOutcome, ...], bytes | None]:
        """What became of every block: the last that was begun may have been ended by a limit."""
        report = ended[-1].report if ended else {"exit_code": 0}
        breach = self._breach(report)
        if not report and breach is None:  # ended by no doing of its own
            raise SandboxUnavailableError("the sandbox process died under the run", step="sandbox")
        outcomes = [one.outcome(breach if one is ended[-1] else None) for one in ended]
        rest = [verdict.skipped(block) for block in self.job.blocks[len(ended) :]]
        result = None
        if outcomes and not rest and outcomes[-1].status is BlockStatus.OK:
            result = self._result_json(outcomes[-1].stdout)
        return (*outcomes, *rest), result

    def _breach(self, report: Mapping[str, Any]) -> Breach | None:
        """The limit that ended the run, if one did."""
        if self._stopped.done():
            return self._stopped.result()
        limits = self.job.limits
        return (
            verdict.memory_breach(self.meter, limits)
            or verdict.cpu_breach(self.meter, limits, report)
            or verdict.disk_breach(report, self.job)
        )

    @contextlib.asynccontextmanager
    async def _watched(self) -> AsyncIterator[None]:
        """Sample while the blocks run; afterwards kill everything, wait for its end and read the rest."""
        sampler = asyncio.create_task(self._sample())
        try:
            yield
        finally:
            sampler.cancel()
            await undisturbed(self._end())

    async def _end(self) -> None:
        self.process.kill()
        await self.process.wait()
        self.meter.sample_group()
        for capture in self._captures:
            capture.finish()

    def _stop_for(self, breach: Breach) -> None:
        """Note the first limit that was passed and end the run for it."""
        if not self._stopped.done():
            self._stopped.set_result(breach)
        self.process.kill()

    async def _begin(self) -> None:
        """Give init all that the run may know."""
        urls = self._urls()
        environment = {
            name: value.replace("{port}", str(self.process.port))
            for name, value in self.job.environment.items()
        }
        environment |= {f"MAML_API_{_shouted(name)}": url for name, url in urls.items()}
        blocks = [
            {"language": b.language, "name": b.name, "code": b.code, "line": b.line} for b in self.job.blocks
        ]
        job = {"inputs": dict(self.job.inputs), "environment": environment, "apis": urls, "blocks": blocks}
        descriptor = sealed_file(json.dumps(job).encode())
        try:
            self._tell({"kind": "begin"}, [descriptor])
        finally:
            os.close(descriptor)

    def _urls(self) -> dict[str, str]:
        if not self.job.wants_egress:
            return {}
        base = _BASE_URL.format(port=self.process.port)
        return {name: base + path for name, path in self.job.apis.items()}

    def _tell(self, message: Mapping[str, object], descriptors: Sequence[int]) -> None:
        with contextlib.suppress(OSError):  # a dead init is noticed by whoever waits for its answer
            wire.send(self.process.control, message, descriptors)

    async def _block(self, index: int, block: Block, *, wants_result: bool) -> _Ended:
        started_s = time.monotonic()
        out, err = captures = [Capture(self._output), Capture(self._output)]
        if wants_result:
            self._result = Capture(Budget(self.job.limits.result_bytes, self._result_overrun))
            captures = [out, err, self._result]
        self._captures += captures
        self._tell({"kind": "block", "index": index}, [capture.writer for capture in captures])
        for capture in captures:
            capture.start()
        report = await self._report(index, block, started_s)
        return _Ended(block, out, err, report, round((time.monotonic() - started_s) * 1000))

    async def _report(self, index: int, block: Block, started_s: float) -> Mapping[str, Any]:
        """Wait for how the block ended; an empty report if the run was stopped or died."""
        try:
            async with asyncio.timeout(self._time_left_s(block)):
                while (message := await self._next_message()) is not None:
                    if message.get("kind") == "ended" and message.get("index") == index:
                        return message
        except TimeoutError:
            now_s = time.monotonic()
            spent = now_s - started_s, now_s - self._started_s
            self._stop_for(verdict.timeout_breach(block, self.job.limits, *spent))
        return {}

    async def _next_message(self) -> Mapping[str, Any] | None:
        """What init says next; None once the run was stopped or init is dead."""
        heard = asyncio.create_task(wait_readable(self.process.control.fileno()))
        either: list[asyncio.Future[Any]] = [self._stopped, heard]
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            return None if self._stopped.done() else wire.receive(self.process.control)[0]
        except EOFError:
            return None
        finally:
            heard.cancel()
            await asyncio.gather(heard, return_exceptions=True)

    async def _sample(self) -> None:
        limits = self.job.limits
        while True:
            await asyncio.sleep(INTERVAL_S)
            self.meter.sample()
            if breach := verdict.memory_breach(self.meter, limits):
                self._stop_for(breach)
            if self.meter.cpu_s > limits.cpu_s:
                self._stop_for(verdict.cpu_spent(self.meter.cpu_s, limits))
            if self.folder is not None:
                self._check_folder(self.folder)

    def _check_folder(self, folder: str) -> None:
        """Hold the limits of a work folder that is not a file system of its own."""
        limits = self.job.limits
        held_bytes, files = _folder.use(folder, limits.files + 1)
        if held_bytes > limits.file_bytes:
            self._stop_for(verdict.folder_breach(limits, "file_bytes", held_bytes, BlockStatus.OUTPUT))
        if files > limits.files:
            self._stop_for(verdict.folder_breach(limits, "files", files, BlockStatus.OUTPUT))

    def _time_left_s(self, block: Block) -> float:
        left_s = self.job.limits.wall_s - (time.monotonic() - self._started_s)
        return max(0.0, left_s if block.timeout_s is None else min(left_s, block.timeout_s))

    def _output_overrun(self, seen_bytes: int) -> None:
        self._stop_for(verdict.output_breach(self.job.limits.output_bytes, seen_bytes))

    def _result_overrun(self, seen_bytes: int) -> None:
        self._stop_for(verdict.result_breach(self.job.limits.result_bytes, seen_bytes))

    def _result_json(self, last_stdout: str) -> bytes | None:
        """What the code handed over, else the last line of the last block's output if it is JSON."""
        if self._result is not None and self._result.data:
            return bytes(self._result.data)
        lines = last_stdout.rstrip().splitlines()
        last = lines[-1].strip().encode() if lines else b""
        return last if 0 < len(last) <= self.job.limits.result_bytes and verdict.is_json(last) else None


def _shouted(name: str) -> str:
    return "".join(c if c.isalnum() and c.isascii() else "_" for c in name.upper())
