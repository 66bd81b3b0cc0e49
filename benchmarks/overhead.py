"""What one chat request costs the gateway: CPU time beside nginx, TensorZero and LiteLLM.

One run, one upstream, one request, one core for the gateway and another for the load. Rounds are
interleaved, so that a slower minute of the machine meets every gateway; a ratio is the median of
the rounds' ratios. `--profile` shows where our microseconds go.
"""

import asyncio
import json
import os
import resource
import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import harness
import peers
import targets
from harness import median, missing_tools, ratio, table
from targets import PLAIN, SLOW, STREAM, Site, Target

CONNECTIONS: Final = 64
STREAMS_AT_ONCE: Final = 1000
QUIET_CORES: Final = 0.3  # what other programs may use before the figures are worth little


@dataclass(frozen=True, slots=True)
class Sizes:
    """How long and how often."""

    rounds: int
    warm_s: float
    plain_s: float
    stream_s: float
    streams_at_once: int


FULL: Final = Sizes(rounds=5, warm_s=2, plain_s=4, stream_s=4, streams_at_once=STREAMS_AT_ONCE)
QUICK: Final = Sizes(rounds=1, warm_s=0, plain_s=1, stream_s=1, streams_at_once=STREAMS_AT_ONCE)


@dataclass(slots=True)
class Measured:
    """The rounds of one gateway: microseconds of CPU for a plain answer and for a stream."""

    plain_us: list[float | None] = field(default_factory=list)
    stream_us: list[float | None] = field(default_factory=list)
    per_s: list[float | None] = field(default_factory=list)
    p50_ms: list[float | None] = field(default_factory=list)
    failed: int = 0
    answered: int = 0


def shot(
    target: Target, model: str, seconds: float, folder: Path, **members: object
) -> tuple[harness.Load, float]:
    """One run of wrk, and the microseconds of CPU that the gateway used for each answer."""
    url, headers, body = target.request(model, **members)
    before_s = target.process.cpu_s()
    load = harness.wrk(url, headers, body, folder, connections=CONNECTIONS, seconds=seconds)
    used_s = target.process.cpu_s() - before_s
    return load, used_s / max(1, load.answered) * 1e6


def measure(target: Target, sizes: Sizes, folder: Path, into: Measured) -> None:
    """One round of one gateway."""
    plain, plain_us = shot(target, PLAIN, sizes.plain_s, folder)
    stream, stream_us = shot(target, STREAM, sizes.stream_s, folder, stream=True)
    into.plain_us.append(plain_us if plain.answered else None)
    into.stream_us.append(stream_us if stream.answered else None)
    into.per_s.append(plain.answered / plain.seconds)
    into.p50_ms.append(plain.p50_ms)
    into.failed += plain.failed + stream.failed
    into.answered += plain.answered + stream.answered


@contextmanager
def running(
    folder: Path, given: targets.Upstreams, wanted: Sequence[str]
) -> Iterator[tuple[Site, dict[str, Target]]]:
    """Ours, nginx and the wanted peers, all started and looked at; what is not installed is told of."""
    with ExitStack() as stack:
        site = stack.enter_context(targets.ours(folder, given))
        found = {"macroslow": site.target, "nginx": stack.enter_context(targets.nginx(folder, given))}
        for name in wanted:
            if peers.python(name) is None:
                print(f"{name} is not installed, its figures are null: make bench-peers")
                continue
            found[name] = stack.enter_context(targets.PEERS[name](folder, given))
        for target in found.values():
            target.check(PLAIN, b"pong")
            target.check(STREAM, b"word3", stream=True)
        yield site, found


def compare(sizes: Sizes, wanted: Sequence[str]) -> dict[str, Any]:
    """All gateways, round by round; the figures by the names of the last line."""
    with (
        harness.scratch() as folder,
        targets.upstreams(folder) as given,
        running(folder, given, wanted) as (site, found),
    ):
        measured = {name: Measured() for name in found}
        if sizes.warm_s:
            for target in found.values():
                shot(target, PLAIN, sizes.warm_s, folder)
        began_s, foreign_s = time.monotonic(), harness.foreign_cpu_s()
        calls_before = site.calls()
        for at in range(sizes.rounds):
            for name, target in found.items():
                measure(target, sizes, folder, measured[name])
            print(f"round {at + 1} of {sizes.rounds}: " + _line(measured), flush=True)
        foreign = (harness.foreign_cpu_s() - foreign_s) / (time.monotonic() - began_s)
        checks = _check_ledger(site, calls_before, measured["macroslow"], runs=2 * sizes.rounds)
        memory = asyncio.run(open_streams(site, sizes.streams_at_once))
    figures = _figures(measured)
    if foreign > QUIET_CORES:
        print(
            f"\nOther programs used {foreign:.2f} of {len(harness.CORES)} cores meanwhile: "
            "do not trust these figures."
        )
    return {**figures, **memory, **checks, "foreign_cores": foreign}


def _line(measured: Mapping[str, Measured]) -> str:
    return "  ".join(
        f"{name} {_us(one.plain_us[-1])}/{_us(one.stream_us[-1])} us" for name, one in measured.items()
    )


def _us(figure: float | None) -> str:
    return "-" if figure is None else f"{figure:,.0f}"


def _check_ledger(site: Site, calls_before: int, ours: Measured, runs: int) -> dict[str, Any]:
    """Every answer has its row. wrk leaves at most CONNECTIONS requests open when a run of it ends."""
    rows = site.calls() - calls_before
    if not ours.answered <= rows <= ours.answered + runs * CONNECTIONS:
        raise RuntimeError(f"{ours.answered} answers, but {rows} rows in the ledger")
    return {"answered": ours.answered, "ledger_rows": rows, "failed": ours.failed}


def _figures(measured: Mapping[str, Measured]) -> dict[str, Any]:
    us = measured["macroslow"]
    figures: dict[str, Any] = {}
    for name in ("nginx", *targets.PEERS):
        peer = measured.get(name, Measured())
        figures[f"cpu_ratio_{name}"] = _ratio(us.plain_us, peer.plain_us)
        figures[f"stream_cpu_ratio_{name}"] = _ratio(us.stream_us, peer.stream_us)
    for name in ("macroslow", "nginx", *targets.PEERS):
        one = measured.get(name, Measured())
        figures[f"cpu_us_{name}"] = median(one.plain_us)
        figures[f"stream_cpu_us_{name}"] = median(one.stream_us)
        figures[f"per_s_{name}"] = median(one.per_s)
    rows = [
        (name, *map(median, (one.plain_us,)), min(filter(None, one.plain_us), default=None),
         _ratio(us.plain_us, one.plain_us), median(one.per_s), median(one.p50_ms), median(one.stream_us),
         _ratio(us.stream_us, one.stream_us), one.failed)
        for name, one in measured.items()
    ]  # fmt: skip
    print()
    titles = (
        "gateway",
        "CPU us",
        "least",
        "ours/it",
        "req/s",
        "p50 ms @64",
        "CPU us a stream",
        "ours/it",
        "failed",
    )
    table(titles, rows)
    return figures


def _ratio(ours: Sequence[float | None], theirs: Sequence[float | None]) -> float | None:
    """The median of the rounds' ratios."""
    return median(ratio(one, other) for one, other in zip(ours, theirs, strict=False))


# Memory


async def open_streams(site: Site, count: int) -> dict[str, Any]:
    """Memory of the gateway while `count` streams are open; all are then read to their end and counted."""
    idle_mib = site.target.process.memory_mib()
    calls_before = site.calls()
    opened = asyncio.Semaphore(0)
    reading = [asyncio.create_task(_read(site.target, opened)) for _ in range(count)]
    for _ in range(count):
        await opened.acquire()
    open_mib = site.target.process.memory_mib()
    complete = sum(await asyncio.gather(*reading))
    rows = site.calls() - calls_before
    print(
        f"\n{count} streams open at once: {open_mib:.0f} MiB (before {idle_mib:.0f}); "
        f"{complete} complete, {rows} rows in the ledger"
    )
    if rows != complete or complete != count:
        raise RuntimeError(f"{count} streams, {complete} complete, {rows} rows in the ledger")
    return {"mib_per_1000_streams": open_mib * STREAMS_AT_ONCE / count, "mib_idle": idle_mib}


async def _read(target: Target, opened: asyncio.Semaphore) -> bool:
    """One stream; whether its closing event came."""
    url, headers, body = target.request(SLOW, stream=True)
    parts = urlsplit(url)
    lines = [f"POST {parts.path} HTTP/1.1", f"Host: {parts.netloc}", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()] + ["Connection: close", "", ""]
    try:
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        writer.write("\r\n".join(lines).encode() + body)
        first = await reader.readuntil(b"\n\n")
    finally:
        opened.release()
    rest = await reader.read()
    writer.close()
    return b"word0" in first and b"[DONE]" in rest


# Where the microseconds go


def profile(sizes: Sizes) -> dict[str, Any]:
    """Stages timed inside our process, beside the same load on one that is not timed."""
    with harness.scratch() as folder, targets.upstreams(folder) as given:
        with targets.ours(folder / "untimed", given) as site:
            shot(site.target, PLAIN, sizes.warm_s or 1, folder)
            _, untimed_us = shot(site.target, PLAIN, sizes.plain_s, folder)
        report = folder / "stages.json"
        command = (str(harness.HERE / "stages.py"), str(report))
        with targets.ours(folder / "timed", given, command) as site:
            shot(site.target, PLAIN, sizes.warm_s or 1, folder)
            before, first = site.calls(), harness.thread_cpu_s(site.target.process.pid)
            os.kill(site.target.process.pid, signal.SIGUSR1)  # begin to count
            shot(site.target, PLAIN, sizes.plain_s, folder)
            last, calls = harness.thread_cpu_s(site.target.process.pid), site.calls() - before
        stages = json.loads(report.read_text())
    per_call = {name: seconds / calls * 1e6 for name, seconds in stages.items()}
    loop_us, others_us = ((end - start) / calls * 1e6 for start, end in zip(first, last, strict=True))
    writer_us = sum(us for name, us in per_call.items() if name.startswith("writer"))
    per_call["event loop: sockets, tasks, timers, waiting for the interpreter's lock"] = (
        loop_us + writer_us - sum(per_call.values())
    )
    per_call["writer: waking up, waiting for the interpreter's lock"] = others_us - writer_us
    print()
    rows = sorted(per_call.items(), key=lambda row: row[1], reverse=True)
    table(
        ("stage", "CPU us a request"),
        [*rows, ("all of it, timed", loop_us + others_us), ("all of it", untimed_us)],
    )
    return {
        "cpu_us": untimed_us,
        "cpu_us_timed": loop_us + others_us,
        "stages_us": {name: round(us, 1) for name, us in rows},
    }


def main() -> None:
    """Measure and report."""
    parser = harness.options(__doc__.partition("\n")[0])
    parser.add_argument("--profile", action="store_true", help="where our own microseconds go, by stage")
    parser.add_argument("--peers", nargs="*", choices=[*targets.PEERS], default=[*targets.PEERS])
    chosen = parser.parse_args()
    sizes = QUICK if chosen.quick else FULL
    _allow_open_files(4 * STREAMS_AT_ONCE)
    os.sched_setaffinity(0, {harness.LOAD_CORE})
    if missing_tools("wrk", "nginx"):
        harness.finish(
            _figures({"macroslow": Measured(), "nginx": Measured()}) | {"mib_per_1000_streams": None}
        )
        return
    harness.finish(profile(sizes) if chosen.profile else compare(sizes, chosen.peers))


def _allow_open_files(count: int) -> None:
    """What is started here may hold two connections for each stream, and more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < count:
        sys.exit(f"the hard limit of open files is {hard}: {count} are needed")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, count), hard))


if __name__ == "__main__":
    main()
