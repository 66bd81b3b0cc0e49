"""What every benchmark here needs: pinned processes, their CPU time, load, facts of the machine, a report.

CPU time is user and system time of a process with all its descendants, living and reaped, from
/proc/PID/stat (Linux, in ticks of 10 ms). A tool that is missing makes figures null, never guesses.
"""

import argparse
import json
import os
import platform
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Final

HERE: Final = Path(__file__).resolve().parent
WORK: Final = HERE / ".work"
# Last, so that mcp.py here does not stand in for the library of that name.
sys.path[:] = [*(path for path in sys.path if Path(path).resolve() != HERE), str(HERE)]
CORES: Final = sorted(os.sched_getaffinity(0))
LOAD_CORE: Final = CORES[0]
GATEWAY_CORE: Final = CORES[-1]
TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")
INSTALL: Final = {"wrk": "apt-get install wrk", "nginx": "apt-get install nginx-light"}
PACKAGES: Final = ("macroslow", "uvicorn", "uvloop", "httptools", "aiohttp", "orjson", "cryptography")
START_LIMIT_S: Final = 60.0
END_LIMIT_S: Final = 20.0


# Processes


@dataclass(frozen=True, slots=True)
class Process:
    """A process of ours, pinned to one core; its descendants belong to it."""

    name: str
    popen: "subprocess.Popen[str]"

    @property
    def pid(self) -> int:
        """Of the process itself: taskset becomes what it starts."""
        return self.popen.pid

    def cpu_s(self) -> float:
        """CPU time of the whole tree since it began."""
        return cpu_s_of(self.pid)

    def memory_mib(self) -> float:
        """Proportional set size of the whole tree: pages that several share count once."""
        kib = 0
        for pid in _tree(_process_table(), self.pid):
            try:
                rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
            except OSError:  # it ended meanwhile, or it is closed to us: a sandbox's helper
                continue
            kib += int(re.search(r"^Pss:\s+(\d+)", rollup, re.MULTILINE)[1])
        return kib / 1024

    def stop(self) -> None:
        """End it in order, or after END_LIMIT_S in disorder."""
        if self.popen.poll() is None:
            self.popen.send_signal(signal.SIGTERM)
            try:
                self.popen.wait(END_LIMIT_S)
            except subprocess.TimeoutExpired:
                self.popen.kill()
                self.popen.wait()
        if self.popen.stdout is not None:
            self.popen.stdout.close()


@contextmanager
def spawned(
    name: str,
    command: Sequence[str],
    core: int,
    folder: Path,
    *,
    environment: Mapping[str, str] | None = None,
) -> Iterator[Process]:
    """Run `command` pinned to `core` in `folder`, its stderr into NAME.log there; end it afterwards."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{name}.log").open("a") as log:
        popen = subprocess.Popen(
            ["taskset", "-c", str(core), *command],
            cwd=folder,
            env={**clean_environment(), "XDG_STATE_HOME": str(folder / "outside"), **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    process = Process(name, popen)
    try:
        yield process
    finally:
        process.stop()


def clean_environment() -> dict[str, str]:
    """What a fresh shell has: nothing that would configure a gateway, a proxy or a provider."""
    return {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}


def free_port() -> int:
    """A port of the loopback address that nothing listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def wait_for_port(process: Process, port: int, limit_s: float = START_LIMIT_S) -> None:
    """Return when something listens on `port`. RuntimeError if the process ends or takes too long."""
    until_s = time.monotonic() + limit_s
    while time.monotonic() < until_s and process.popen.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 0.2).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    raise RuntimeError(f"{process.name} does not listen on {port}; see {process.name}.log")


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder for one benchmark's processes, removed afterwards."""
    WORK.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="run-", dir=WORK) as folder:
        yield Path(folder)


def _process_table() -> dict[int, tuple[int, int]]:
    """Parent and CPU ticks (own and of reaped children) of every process, by id."""
    table = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            table[int(entry.name)] = (int(fields[1]), sum(map(int, fields[11:15])))
    return table


def _tree(table: Mapping[int, tuple[int, int]], root: int) -> set[int]:
    tree = {root} & table.keys()
    while grown := {pid for pid, (parent, _) in table.items() if parent in tree} - tree:
        tree |= grown
    return tree


def cpu_s_of(pid: int) -> float:
    """CPU time of a process with all its descendants since it began."""
    table = _process_table()
    return sum(table[each][1] for each in _tree(table, pid)) / TICKS_PER_S


def thread_cpu_s(pid: int) -> tuple[float, float]:
    """CPU time of a process's first thread, and of its others together."""
    ticks = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        fields = (task / "stat").read_text().rpartition(")")[2].split()
        ticks[int(task.name)] = int(fields[11]) + int(fields[12])
    first = ticks.pop(pid)
    return first / TICKS_PER_S, sum(ticks.values()) / TICKS_PER_S


def foreign_cpu_s() -> float:
    """CPU time that everything outside this benchmark has used since the machine began."""
    user, nice, system, _, _, irq, softirq, steal = map(int, Path("/proc/stat").read_text().split()[1:9])
    table = _process_table()
    own = sum(table[pid][1] for pid in _tree(table, os.getpid()))
    return (user + nice + system + irq + softirq + steal - own) / TICKS_PER_S


# Load


@dataclass(frozen=True, slots=True)
class Load:
    """What a run of wrk got: answers of status below 400, all others, and percentiles."""

    answered: int
    failed: int
    seconds: float
    p50_ms: float
    p99_ms: float


_REPORT: Final = """
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format('\\nRESULT {"requests":%d,"us":%d,"p50":%d,"p99":%d,"refused":%d,"broken":%d}\\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    e.status, e.connect + e.read + e.write + e.timeout))
end
"""


def wrk(
    url: str, headers: Mapping[str, str], body: bytes, folder: Path, *, connections: int, seconds: float
) -> Load:
    """POST `body` over and over from the load core, each connection one request at a time."""
    lines = [
        'wrk.method = "POST"',
        f"wrk.body = {json.dumps(body.decode('ascii'))}",
        *(f"wrk.headers[{json.dumps(name)}] = {json.dumps(value)}" for name, value in headers.items()),
    ]
    script = folder / "request.lua"
    script.write_text("\n".join(lines) + _REPORT)
    whole_s = max(1, round(seconds))
    command = ["taskset", "-c", str(LOAD_CORE), "wrk", "-t1", f"-c{connections}", f"-d{whole_s}s"]
    command += ["--timeout", "20s", "-s", str(script), url]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=whole_s + 60)
    result = json.loads(re.search(r"^RESULT (.*)$", done.stdout, re.MULTILINE)[1])
    return Load(
        answered=result["requests"] - result["refused"],
        failed=result["refused"] + result["broken"],
        seconds=result["us"] / 1e6,
        p50_ms=result["p50"] / 1e3,
        p99_ms=result["p99"] / 1e3,
    )


def missing_tools(*tools: str) -> list[str]:
    """Those of `tools` that this machine lacks, each told of with its installation."""
    missing = [tool for tool in tools if shutil.which(tool) is None]
    for tool in missing:
        print(f"{tool} is missing, its figures are null: {INSTALL[tool]}")
    return missing


# Figures


def median(figures: Iterable[float | None]) -> float | None:
    """The median of the figures there are; None if there are none."""
    known = [figure for figure in figures if figure is not None]
    return statistics.median(known) if known else None


def percentile(figures: Sequence[float], percent: int) -> float | None:
    """The smallest figure that is not below `percent` of all; None of none."""
    return sorted(figures)[max(0, -(-percent * len(figures) // 100) - 1)] if figures else None


def ratio(one: float | None, other: float | None) -> float | None:
    """one / other; None where either is missing."""
    return None if one is None or not other else one / other


def machine() -> dict[str, Any]:
    """Cores, model, load average now, and the versions that matter."""
    model = re.search(r"^model name\s*:\s*(.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    versions = {name: metadata.version(name) for name in PACKAGES}
    return {
        "machine": {"cores": len(CORES), "model": model[1] if model else platform.machine()},
        "load_average": [round(load, 2) for load in os.getloadavg()],
        "versions": {"python": platform.python_version(), "kernel": platform.release(), **versions},
    }


def table(titles: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print rows for people: numbers in three digits, None as a dash."""
    shown = [[*titles], *([_shown(cell) for cell in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
    for row in shown:
        first, *rest = (
            cell.ljust(width) if at == 0 else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        print("  ".join([first, *rest]).rstrip())


def _shown(cell: object) -> str:
    if cell is None:
        return "-"
    if isinstance(cell, float):
        return f"{cell:,.0f}" if abs(cell) >= 100 else f"{cell:.3g}"
    return f"{cell:,}" if isinstance(cell, int) else str(cell)


def finish(figures: Mapping[str, Any]) -> None:
    """Print the last line: one JSON object with the figures and what they were taken on."""
    rounded = {
        name: round(value, 3) if isinstance(value, float) else value for name, value in figures.items()
    }
    print(json.dumps({**rounded, **machine()}))


def options(description: str) -> argparse.ArgumentParser:
    """The options that all benchmarks have."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="one short round: does it work at all")
    if sys.platform != "linux":
        parser.error("the benchmarks read /proc: they need Linux")
    return parser
