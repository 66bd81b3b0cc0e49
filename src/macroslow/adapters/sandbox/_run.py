"""One run, driven from the gateway's side: blocks in order, limits held, statuses from evidence.

Whatever ends it (the last block, a limit, a cancelled caller), init is killed through its pidfd,
which the kernel turns into the death of everything in the run, and nothing is left open.
"""

import asyncio
import contextlib
import fcntl
import json
import os
import socket
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from macroslow.adapters.sandbox import _folder
from macroslow.adapters.sandbox import _verdict as verdict
from macroslow.adapters.sandbox._capture import Budget, Capture
from macroslow.adapters.sandbox._meter import INTERVAL_S, Meter
from macroslow.adapters.sandbox._process import Process
from macroslow.adapters.sandbox._verdict import Breach
from macroslow.adapters.sandbox._zygote import receive, undisturbed, wait_readable
from macroslow.errors import SandboxUnavailableError
from macroslow.workflow.sandbox import Block, BlockOutcome, BlockStatus, Job

_BASE_URL: Final = "http://127.0.0.1:{port}"


@dataclass(slots=True)
class Run:
    """Drives the blocks of `job` through `process`."""

    job: Job
    process: Process
    meter: Meter
    folder: str | None  # of a run without namespaces: its work folder, measured from here
    started_s: float = field(default_factory=time.monotonic)
    breach: Breach | None = None
    block_started_s: float = 0.0
    _stop: asyncio.Event = field(default_factory=asyncio.Event)
    _captures: list[Capture] = field(default_factory=list)
    _output: Budget = field(init=False)
    _result: Capture | None = None

    def __post_init__(self) -> None:
        self._output = Budget(self.job.limits.output_bytes, self._output_overrun)

    async def blocks(self) -> tuple[tuple[BlockOutcome, ...], bytes | None]:
        """Run all blocks; return their outcomes and the document's result."""
        ended: list[tuple[Block, Capture, Capture, Mapping[str, Any], int]] = []
        async with self._watched():
            await self._begin()
            last_python = max(
                (i for i, b in enumerate(self.job.blocks) if b.language == "python"), default=-1
            )
            for index, block in enumerate(self.job.blocks):
                self.block_started_s = time.monotonic()
                out, err, report = await self._block(index, block, wants_result=index == last_python)
                duration_ms = round((time.monotonic() - self.block_started_s) * 1000)
                ended.append((block, out, err, report, duration_ms))
                if self.breach or report.get("exit_code") != 0:
                    break
        self._require_evidence(ended[-1][3] if ended else {"exit_code": 0})
        outcomes = [
            verdict.outcome(block, out.text, err.text, report, duration_ms, self._breach_of(report))
            if position + 1 == len(ended)
            else verdict.outcome(block, out.text, err.text, report, duration_ms, None)
            for position, (block, out, err, report, duration_ms) in enumerate(ended)
        ]
        result = None
        if outcomes and outcomes[-1].status is BlockStatus.OK and len(outcomes) == len(self.job.blocks):
            result = self._result_json(outcomes[-1].stdout)
        outcomes += [verdict.skipped(block) for block in self.job.blocks[len(ended) :]]
        return tuple(outcomes), result

    def _require_evidence(self, report: Mapping[str, Any]) -> None:
        """A run that ended without a report and within its limits was ended by no doing of its own."""
        if not report and self._breach_of(report) is None:
            raise SandboxUnavailableError("the sandbox process died under the run", step="sandbox")

    def _breach_of(self, report: Mapping[str, Any]) -> Breach | None:
        limits = self.job.limits
        return (
            self.breach
            or verdict.memory_breach(self.meter, limits)
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
        self._kill()
        await self.process.wait(gentle=self.folder is not None)
        self.meter.sample_group()
        for capture in self._captures:
            capture.finish()

    def _kill(self) -> None:
        self.process.kill(gentle=self.folder is not None)

    def _stop_for(self, breach: Breach) -> None:
        """Note the first limit that was passed and end the run for it."""
        self.breach = self.breach or breach
        self._stop.set()
        self._kill()

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
            await self._tell({"kind": "begin"}, [descriptor])
        finally:
            os.close(descriptor)

    def _urls(self) -> dict[str, str]:
        if not self.job.wants_egress:
            return {}
        base = _BASE_URL.format(port=self.process.port)
        return {name: base + path for name, path in self.job.apis.items()}

    async def _tell(self, message: Mapping[str, object], descriptors: list[int]) -> None:
        # A dead init is noticed by whoever waits for its answer.
        with contextlib.suppress(OSError):
            socket.send_fds(self.process.control, [json.dumps(message).encode()], descriptors)

    async def _block(
        self, index: int, block: Block, *, wants_result: bool
    ) -> tuple[Capture, Capture, Mapping[str, Any]]:
        out, err = Capture(self._output), Capture(self._output)
        captures = [out, err]
        if wants_result:
            self._result = Capture(Budget(self.job.limits.result_bytes, self._result_overrun))
            captures.append(self._result)
        self._captures += captures
        await self._tell({"kind": "block", "index": index}, [capture.writer for capture in captures])
        for capture in captures:
            capture.start()
        return out, err, await self._report(index, block)

    async def _report(self, index: int, block: Block) -> Mapping[str, Any]:
        """Wait for how the block ended; an empty report if the run was stopped or died."""
        try:
            async with asyncio.timeout(self._time_left_s(block)):
                while True:
                    message = await self._next_message()
                    if message is None:
                        return {}
                    if message.get("kind") == "ended" and message.get("index") == index:
                        return message
        except TimeoutError:
            now_s = time.monotonic()
            spent = now_s - self.block_started_s, now_s - self.started_s
            self._stop_for(verdict.timeout_breach(block, self.job.limits, *spent))
            return {}

    async def _next_message(self) -> Mapping[str, Any] | None:
        stopped = asyncio.create_task(self._stop.wait())
        heard = asyncio.create_task(wait_readable(self.process.control.fileno()))
        try:
            await asyncio.wait({stopped, heard}, return_when=asyncio.FIRST_COMPLETED)
            if self._stop.is_set():
                return None
            message, _ = await receive(self.process.control)
        except EOFError:
            return None
        finally:
            for task in (stopped, heard):
                task.cancel()
            await asyncio.gather(stopped, heard, return_exceptions=True)
        return message

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
        left_s = self.job.limits.wall_s - (time.monotonic() - self.started_s)
        return max(0.0, left_s if block.timeout_s is None else min(left_s, block.timeout_s))

    def _output_overrun(self) -> None:
        self._stop_for(verdict.output_breach(self._output.limit_bytes, self._output.seen_bytes))

    def _result_overrun(self) -> None:
        if self._result is not None:
            self._stop_for(
                verdict.result_breach(self.job.limits.result_bytes, self._result.budget.seen_bytes)
            )

    def _result_json(self, last_stdout: str) -> bytes | None:
        """What the code handed over, else the last line of the last block's output if it is JSON."""
        if self._result is not None and self._result.data:
            return bytes(self._result.data)
        lines = last_stdout.rstrip().splitlines()
        last = lines[-1].strip().encode() if lines else b""
        return last if 0 < len(last) <= self.job.limits.result_bytes and verdict.is_json(last) else None


def _shouted(name: str) -> str:
    return "".join(c if c.isalnum() and c.isascii() else "_" for c in name.upper())


def sealed_file(data: bytes) -> int:
    """A descriptor of memory that holds `data` and can never be written again."""
    descriptor = os.memfd_create("job", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
    os.lseek(descriptor, 0, os.SEEK_SET)
    seals = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, seals)
    return descriptor
