"""One run, driven from the gateway's side: blocks in order, limits held, statuses from evidence.

Whatever ends it (the last block, a limit, a cancelled caller), init is killed through its pidfd,
which the kernel turns into the death of everything in the run, and nothing is left open.
"""

import asyncio
import contextlib
import fcntl
import json
import os
import signal
import socket
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from macroslow.adapters.sandbox._capture import Budget, Capture
from macroslow.adapters.sandbox._meter import INTERVAL_S, Meter, folder_use
from macroslow.adapters.sandbox._zygote import receive, undisturbed, wait_readable
from macroslow.errors import SandboxUnavailableError
from macroslow.workflow.sandbox import Block, BlockOutcome, BlockStatus, Job, Limits

_MAX_ERROR_CHARS: Final = 2000
_DEATH_S: Final = 10.0
_GRACE_S: Final = 3.0
_MIB: Final = 1024 * 1024
_BASE_URL: Final = "http://127.0.0.1:{port}"


@dataclass(frozen=True, slots=True)
class Breach:
    """A limit that ended the run: its name, what was measured (in its unit) and one sentence."""

    status: BlockStatus
    limit: str
    peak: int
    sentence: str


@dataclass(slots=True)
class Process:
    """Init of one run, as the gateway holds it."""

    control: socket.socket
    pidfd: int
    pid: int
    port: int
    listener: socket.socket | None

    def kill(self, *, gentle: bool) -> None:
        """End init, and with it the run. `gentle`: ask it to sweep, since no pid namespace does."""
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.pidfd, signal.SIGTERM if gentle else signal.SIGKILL)

    async def wait(self, *, gentle: bool) -> None:
        """Return once init is dead; kill it for good if it does not end in time."""
        try:
            async with asyncio.timeout(_GRACE_S if gentle else _DEATH_S):
                await wait_readable(self.pidfd)
        except TimeoutError:
            self.kill(gentle=False)

    async def end(self, *, gentle: bool) -> None:
        """Leave nothing of the run."""
        await undisturbed(self._end(gentle=gentle))

    async def _end(self, *, gentle: bool) -> None:
        self.kill(gentle=gentle)
        await self.wait(gentle=gentle)
        os.close(self.pidfd)
        if self.listener is not None:
            self.listener.close()


async def meet(control: socket.socket) -> Process:
    """Wait until the zygote has forked and init stands behind its walls.

    Raises EOFError if the zygote died, SandboxUnavailableError if a step failed.
    """
    pidfd, ready, listener = -1, None, None
    try:
        while pidfd < 0 or ready is None:
            message, descriptors = await receive(control)
            if message["kind"] == "failed":
                raise SandboxUnavailableError(str(message["error"]))
            if message["kind"] == "forked":
                pidfd = descriptors[0]
            else:
                ready = int(message["port"])
                listener = socket.socket(fileno=descriptors[0]) if descriptors else None
    except BaseException:
        if pidfd >= 0:
            os.close(pidfd)
        if listener is not None:
            listener.close()
        raise
    return Process(control, pidfd, _pid_of(pidfd), ready, listener)


def _pid_of(pidfd: int) -> int:
    """The process id that a pidfd stands for, in our own numbering; -1 once it is gone."""
    with open(f"/proc/self/fdinfo/{pidfd}") as file:  # noqa: PTH123
        return next(int(line.split()[1]) for line in file if line.startswith("Pid:"))


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
            _outcome(block, out.text, err.text, report, duration_ms, self._breach_of(report))
            if position + 1 == len(ended)
            else _outcome(block, out.text, err.text, report, duration_ms, None)
            for position, (block, out, err, report, duration_ms) in enumerate(ended)
        ]
        result = None
        if outcomes and outcomes[-1].status is BlockStatus.OK and len(outcomes) == len(self.job.blocks):
            result = self._result_json(outcomes[-1].stdout)
        outcomes += [_skipped(block) for block in self.job.blocks[len(ended) :]]
        return tuple(outcomes), result

    def _require_evidence(self, report: Mapping[str, Any]) -> None:
        """A run that ended without a report and within its limits was ended by no doing of its own."""
        if not report and self._breach_of(report) is None:
            raise SandboxUnavailableError("the sandbox process died under the run", step="sandbox")

    def _breach_of(self, report: Mapping[str, Any]) -> Breach | None:
        return (
            self.breach or self._memory_breach() or self._cpu_breach(report) or _disk_limit(report, self.job)
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
        descriptor = _sealed_file(json.dumps(job).encode())
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
            self._stop_for(self._timeout_breach(block))
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
            if breach := self._memory_breach():
                self._stop_for(breach)
            if self.meter.cpu_s > limits.cpu_s:
                self._stop_for(self._cpu_spent(self.meter.cpu_s))
            if self.folder is not None:
                self._check_folder(self.folder)

    def _check_folder(self, folder: str) -> None:
        """Hold the limits of a work folder that is not a file system of its own."""
        limits = self.job.limits
        held_bytes, files = folder_use(folder, limits.files + 1)
        if held_bytes > limits.file_bytes:
            self._stop_for(_folder_breach(limits, "file_bytes", held_bytes, BlockStatus.OUTPUT))
        if files > limits.files:
            self._stop_for(_folder_breach(limits, "files", files, BlockStatus.OUTPUT))

    def _time_left_s(self, block: Block) -> float:
        left_s = self.job.limits.wall_s - (time.monotonic() - self.started_s)
        return max(0.0, left_s if block.timeout_s is None else min(left_s, block.timeout_s))

    def _timeout_breach(self, block: Block) -> Breach:
        took_s = time.monotonic() - self.block_started_s
        whole_s = time.monotonic() - self.started_s
        if whole_s >= self.job.limits.wall_s:
            sentence = f"The run was stopped after {whole_s:.1f} s; it may take {self.job.limits.wall_s:g} s."
            return Breach(BlockStatus.TIMEOUT, "wall_s", round(whole_s), sentence)
        sentence = f"The block was stopped after {took_s:.1f} s; its timeout is {block.timeout_s:g} s."
        return Breach(BlockStatus.TIMEOUT, "timeout_s", round(took_s), sentence)

    def _memory_breach(self) -> Breach | None:
        limit, peak = self.job.limits.memory_bytes, self.meter.memory_bytes
        if self.meter.group is None:
            if peak <= limit:
                return None
            sentence = f"The run used {peak // _MIB} MiB of memory (sampled); it may use {limit // _MIB} MiB."
            return Breach(BlockStatus.MEMORY, "memory (sampled)", peak, sentence)
        if not self.meter.oom_kills:
            return None
        sentence = (
            f"The run needed more than its {limit // _MIB} MiB of memory;"
            f" the kernel stopped {self.meter.oom_kills} of its processes."
        )
        return Breach(BlockStatus.MEMORY, "memory", peak, sentence)

    def _cpu_breach(self, report: Mapping[str, Any]) -> Breach | None:
        """A process that the kernel stopped for its own processor time, and that did use it."""
        used_s = max(self.meter.cpu_s, report.get("cpu_ms", 0) / 1000)
        over = used_s >= self.job.limits.cpu_s
        killed = report.get("signal") in {signal.SIGXCPU, signal.SIGKILL}
        return self._cpu_spent(used_s) if over and killed else None

    def _cpu_spent(self, used_s: float) -> Breach:
        sentence = f"The run used {used_s:.1f} s of processor time; it may use {self.job.limits.cpu_s} s."
        return Breach(BlockStatus.CPU, "cpu_s", round(used_s), sentence)

    def _output_overrun(self) -> None:
        limit, seen = self._output.limit_bytes, self._output.seen_bytes
        sentence = f"The run wrote more than the {limit} bytes of output that are kept."
        self._stop_for(Breach(BlockStatus.OUTPUT, "output_bytes", seen, sentence))

    def _result_overrun(self) -> None:
        limit = self.job.limits.result_bytes
        seen = self._result.budget.seen_bytes if self._result else limit
        sentence = f"The result is longer than {limit} bytes."
        self._stop_for(Breach(BlockStatus.OUTPUT, "result_bytes", seen, sentence))

    def _result_json(self, last_stdout: str) -> bytes | None:
        """What the code handed over, else the last line of the last block's output if it is JSON."""
        if self._result is not None and self._result.data:
            return bytes(self._result.data)
        lines = last_stdout.rstrip().splitlines()
        last = lines[-1].strip().encode() if lines else b""
        return last if 0 < len(last) <= self.job.limits.result_bytes and _is_json(last) else None


def _outcome(
    block: Block, stdout: str, stderr: str, report: Mapping[str, Any], duration_ms: int, breach: Breach | None
) -> BlockOutcome:
    status, error = _status(report, breach)
    return BlockOutcome(
        language=block.language,
        name=block.name,
        status=status,
        exit_code=report.get("exit_code") if breach is None or status is BlockStatus.ERROR else None,
        stdout=stdout,
        stderr=stderr,
        duration_ms=duration_ms,
        error=error,
        limit=breach.limit if breach else "",
        peak=breach.peak if breach else None,
    )


def _status(report: Mapping[str, Any], breach: Breach | None) -> tuple[BlockStatus, str]:
    """The status and its sentence, from what init saw and from the limit that was passed."""
    said = str(report.get("error", ""))[:_MAX_ERROR_CHARS]
    if breach is not None:
        return breach.status, " ".join(filter(None, (said, breach.sentence)))
    number = report.get("signal")
    if number == signal.SIGSYS:
        return BlockStatus.FORBIDDEN, "The block made a system call that the sandbox forbids (SIGSYS)."
    if number is not None:
        return BlockStatus.CRASH, f"The block was killed by {signal.Signals(number).name}."
    code = report.get("exit_code")
    if code == 0:
        return BlockStatus.OK, ""
    return BlockStatus.ERROR, said or f"The block ended with exit code {code}."


def _skipped(block: Block) -> BlockOutcome:
    return BlockOutcome(block.language, block.name, BlockStatus.SKIPPED, None, "", "", 0)


def _disk_limit(report: Mapping[str, Any], job: Job) -> Breach | None:
    """A full work folder where a block failed: named, though the block may have failed of another cause."""
    if report.get("exit_code") == 0 or "disk_bytes" not in report:
        return None
    status = BlockStatus.ERROR if report.get("signal") is None else BlockStatus.CRASH
    if report["disk_free_bytes"] == 0:
        return _folder_breach(job.limits, "file_bytes", int(report["disk_bytes"]), status)
    if report["disk_free_files"] == 0:
        return _folder_breach(job.limits, "files", int(report["disk_files"]), status)
    return None


def _folder_breach(limits: Limits, limit: str, peak: int, status: BlockStatus) -> Breach:
    room = f"{limits.file_bytes // _MIB} MiB" if limit == "file_bytes" else f"{limits.files} files"
    return Breach(status, limit, peak, f"The work folder is full: it may hold {room}.")


def _is_json(text: bytes) -> bool:
    """Whether these bytes from outside are JSON that any reader accepts: no NaN, no bottomless nesting."""
    try:
        json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        return False
    return True


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


def _shouted(name: str) -> str:
    return "".join(c if c.isalnum() and c.isascii() else "_" for c in name.upper())


def _sealed_file(data: bytes) -> int:
    """A descriptor of memory that holds `data` and can never be written again."""
    descriptor = os.memfd_create("job", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
    os.lseek(descriptor, 0, os.SEEK_SET)
    seals = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, seals)
    return descriptor
