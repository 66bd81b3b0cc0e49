"""From evidence to words: how a block ended, which limit it passed, and one sentence that says so.

Pure functions over what init reported and what was measured. Nothing is guessed from an exit code.
"""

import json
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from macroslow.adapters.sandbox._meter import Meter
from macroslow.workflow.sandbox import Block, BlockOutcome, BlockStatus, Job, Limits

_MAX_ERROR_CHARS: Final = 2000
_MIB: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Breach:
    """A limit that ended the run: its name, what was measured (in its unit) and one sentence."""

    status: BlockStatus
    limit: str
    peak: int
    sentence: str


def outcome(
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
    # The code's own words: halves of a character pair in them could be written nowhere.
    said = str(report.get("error", ""))[:_MAX_ERROR_CHARS].encode("utf-8", "replace").decode()
    if breach is not None:
        return breach.status, " ".join(filter(None, (said, breach.sentence)))
    number = report.get("signal")
    if number == signal.SIGSYS:
        return BlockStatus.FORBIDDEN, "The block made a system call that the sandbox forbids (SIGSYS)."
    if number is not None:
        return BlockStatus.CRASH, f"The block was killed by {name_of(number)}."
    code = report.get("exit_code")
    if code == 0:
        return BlockStatus.OK, ""
    return BlockStatus.ERROR, said or f"The block ended with exit code {code}."


def name_of(number: int) -> str:
    """Of a signal; most real-time signals have none."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def skipped(block: Block) -> BlockOutcome:
    return BlockOutcome(block.language, block.name, BlockStatus.SKIPPED, None, "", "", 0)


def timeout_breach(block: Block, limits: Limits, block_s: float, run_s: float) -> Breach:
    """The wall clock of the run, or the block's own timeout, whichever it was."""
    if run_s >= limits.wall_s:
        sentence = f"The run was stopped after {run_s:.1f} s; it may take {limits.wall_s:g} s."
        return Breach(BlockStatus.TIMEOUT, "wall_s", round(run_s), sentence)
    sentence = f"The block was stopped after {block_s:.1f} s; its timeout is {block.timeout_s:g} s."
    return Breach(BlockStatus.TIMEOUT, "timeout_s", round(block_s), sentence)


def memory_breach(meter: Meter, limits: Limits) -> Breach | None:
    """By the group's counter of killed processes, or by what was sampled."""
    limit, peak = limits.memory_bytes, meter.memory_bytes
    if meter.group is None:
        if peak <= limit:
            return None
        sentence = f"The run used {peak // _MIB} MiB of memory (sampled); it may use {limit // _MIB} MiB."
        return Breach(BlockStatus.MEMORY, "memory (sampled)", peak, sentence)
    if not meter.oom_kills:
        return None
    sentence = (
        f"The run needed more than its {limit // _MIB} MiB of memory;"
        f" the kernel stopped {meter.oom_kills} of its processes."
    )
    return Breach(BlockStatus.MEMORY, "memory", peak, sentence)


def cpu_breach(meter: Meter, limits: Limits, report: Mapping[str, Any]) -> Breach | None:
    """A process that the kernel stopped for its own processor time, and that did use it."""
    used_s = max(meter.cpu_s, report.get("cpu_ms", 0) / 1000)
    killed = report.get("signal") in {signal.SIGXCPU, signal.SIGKILL}
    return cpu_spent(used_s, limits) if used_s >= limits.cpu_s and killed else None


def cpu_spent(used_s: float, limits: Limits) -> Breach:
    sentence = f"The run used {used_s:.1f} s of processor time; it may use {limits.cpu_s} s."
    return Breach(BlockStatus.CPU, "cpu_s", round(used_s), sentence)


def output_breach(limit_bytes: int, seen_bytes: int) -> Breach:
    sentence = f"The run wrote more than the {limit_bytes} bytes of output that are kept."
    return Breach(BlockStatus.OUTPUT, "output_bytes", seen_bytes, sentence)


def result_breach(limit_bytes: int, seen_bytes: int) -> Breach:
    return Breach(
        BlockStatus.OUTPUT, "result_bytes", seen_bytes, f"The result is longer than {limit_bytes} bytes."
    )


def disk_breach(report: Mapping[str, Any], job: Job) -> Breach | None:
    """A full work folder where a block failed: named, though the block may have failed of another cause."""
    if report.get("exit_code") == 0 or "disk_bytes" not in report:
        return None
    status = BlockStatus.ERROR if report.get("signal") is None else BlockStatus.CRASH
    if report["disk_free_bytes"] == 0:
        return folder_breach(job.limits, "file_bytes", int(report["disk_bytes"]), status)
    if report["disk_free_files"] == 0:
        return folder_breach(job.limits, "files", int(report["disk_files"]), status)
    return None


def folder_breach(limits: Limits, limit: str, peak: int, status: BlockStatus) -> Breach:
    room = f"{limits.file_bytes // _MIB} MiB" if limit == "file_bytes" else f"{limits.files} files"
    return Breach(status, limit, peak, f"The work folder is full: it may hold {room}.")


def is_json(text: bytes) -> bool:
    """Whether these bytes from outside are JSON that any reader accepts: no NaN, no bottomless nesting."""
    try:
        json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        return False
    return True


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")
