"""What an entry of the log costs: appended by many callers at once, at a steady rate, and after a crash.

The books alone, without gateway: each entry is the event of a chat request, sealed under its subject's
key, hashed into the tree, and in one commit with those of other callers. Latency counts to the moment
when the entry is durable. The last part kills a writing process, opens what it left and looks for
every entry that it had been promised.
"""

import argparse
import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import harness
import uvloop
from harness import percentile, table

from macroslow.adapters.sqlite import SqliteBooks
from macroslow.adapters.system import SystemClock, SystemEntropy
from macroslow.crypto.quad import KEY_ID_BYTES, LAYERS, ROOT_BYTES, Quad, Root
from macroslow.tlog.event import Event, EventType
from macroslow.tlog.ports import Append, Entry

CALLERS: Final = 512
SUBJECTS: Final = 16
OFFERED_PER_S: Final = 1_000
ENTROPY: Final = SystemEntropy()


@dataclass(frozen=True, slots=True)
class Sizes:
    """How long, and how many entries there are before the crash."""

    warm_s: float
    busy_s: float
    steady_s: float
    entries_before_crash: int


FULL: Final = Sizes(warm_s=2, busy_s=10, steady_s=10, entries_before_crash=50_000)
QUICK: Final = Sizes(warm_s=0.1, busy_s=1, steady_s=1, entries_before_crash=2_000)


def event(number: int) -> Event:
    """What one chat request leaves in the log."""
    fields = {
        "request_id": f"{number:032x}",
        "principal": f"agent-{number % SUBJECTS}",
        "key_id": "0123456789abcdef",
        "operation": "chat.completions",
        "provider": "openai",
        "model": "gpt-4o-mini",
        "input_tokens": 412,
        "output_tokens": 188,
        "usd_micros": 175,
        "status": 200,
        "outcome": "ok",
        "request_sha256": "5f" * 32,
        "answer_sha256": "a0" * 32,
    }
    return Event(EventType.CHAT_COMPLETED, time.time_ns(), f"agent-{number % SUBJECTS}", fields)


def roots(seed: bytes) -> list[Root]:
    """Four roots that stay the same when the books are opened again."""
    return [
        Root(bytes([at]) * KEY_ID_BYTES, 0, (seed + bytes([at])).ljust(ROOT_BYTES, b"-"))
        for at in range(LAYERS)
    ]


@asynccontextmanager
async def opened(path: Path) -> AsyncIterator[SqliteBooks]:
    """The books at `path`, as the gateway opens them."""
    sealer = Quad(roots(b"bench"), ENTROPY)
    books = await SqliteBooks.open(path, sealer=sealer, entropy=ENTROPY, clock=SystemClock())
    try:
        yield books
    finally:
        await books.close()


async def append(books: SqliteBooks, number: int) -> Entry:
    """One caller's entry, durable."""
    (entry,) = await books.commit(Append(event(number)))
    return entry


async def busy(books: SqliteBooks, seconds: float) -> tuple[list[float], float, float]:
    """CALLERS at once, each with one entry at a time: latencies in ms, seconds of wall and of CPU."""
    latencies_ms: list[float] = []
    began_s, cpu_s = time.perf_counter(), time.process_time()

    async def caller(number: int) -> None:
        while (asked_s := time.perf_counter()) < began_s + seconds:
            await append(books, number)
            latencies_ms.append((time.perf_counter() - asked_s) * 1e3)

    await asyncio.gather(*map(caller, range(CALLERS)))
    return latencies_ms, time.perf_counter() - began_s, time.process_time() - cpu_s


async def steady(books: SqliteBooks, seconds: float) -> list[float]:
    """OFFERED_PER_S, each when it is due, whether or not those before are durable: latencies in ms."""
    began_s = time.perf_counter()

    async def due(at: int, due_s: float) -> float:
        await append(books, at)
        return (time.perf_counter() - due_s) * 1e3

    asked = []
    for at in range(round(seconds * OFFERED_PER_S)):
        due_s = began_s + at / OFFERED_PER_S
        await asyncio.sleep(max(0.0, due_s - time.perf_counter()))
        asked.append(asyncio.create_task(due(at, due_s)))
    return await asyncio.gather(*asked)


async def measure(folder: Path, sizes: Sizes) -> dict[str, Any]:
    """The two loads, and what the file has grown by."""
    path = folder / "books.sqlite"
    async with opened(path) as books:
        await busy(books, sizes.warm_s)
        before = (await books.head()).size
    size_bytes = path.stat().st_size
    async with opened(path) as books:
        latencies_ms, wall_s, cpu_s = await busy(books, sizes.busy_s)
    grown_bytes = path.stat().st_size - size_bytes
    async with opened(path) as books:
        if (await books.head()).size != before + len(latencies_ms):
            raise RuntimeError("the log has another number of entries than were appended")
        steady_ms = await steady(books, sizes.steady_s)
    return {
        "entries_per_s": len(latencies_ms) / wall_s,
        "p99_ms": percentile(latencies_ms, 99),
        "cpu_us_per_entry": cpu_s / len(latencies_ms) * 1e6,
        "bytes_per_entry": grown_bytes / len(latencies_ms),
        "offered_1000_p99_ms": percentile(steady_ms, 99),
        "entries": len(latencies_ms),
    }


async def write_until_killed(path: Path) -> None:
    """Append for ever; the index of every entry that is durable goes to standard output at once."""

    async def caller(number: int) -> None:
        while True:
            os.write(1, b"%d\n" % (await append(books, number)).index)

    async with opened(path) as books:
        await asyncio.gather(*map(caller, range(CALLERS)))


def crash(folder: Path, entries: int) -> dict[str, Any]:
    """Kill a writer after so many entries, open the books, and look for all that it was promised."""
    path = folder / "crashed.sqlite"
    command = [sys.executable, __file__, "--until-killed", str(path)]
    promised = set()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        for line in writer.stdout:
            promised.add(int(line))
            if len(promised) == entries:
                writer.send_signal(signal.SIGKILL)
    if len(promised) < entries:
        raise RuntimeError("the writer ended before it was killed")
    restart_s, lost = asyncio.run(reopen(path, promised))
    if lost:
        raise RuntimeError(f"{lost} acknowledged entries are lost")
    return {"restart_s": restart_s, "acknowledged": len(promised), "lost": lost}


async def reopen(path: Path, promised: set[int]) -> tuple[float, int]:
    """Seconds until the books answer again, and how many of the promised entries are not there."""
    began_s = time.perf_counter()
    async with opened(path) as books:
        size = (await books.head()).size
        took_s = time.perf_counter() - began_s
        whole = {logged.index for logged in await books.entries(0, size) if logged.event is not None}
    return took_s, len(promised - whole)


def main() -> None:
    """Measure and report."""
    parser = harness.options(__doc__.partition("\n")[0])
    parser.add_argument("--until-killed", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    os.sched_setaffinity(0, {harness.GATEWAY_CORE})
    if chosen.until_killed:
        uvloop.run(write_until_killed(chosen.until_killed))
    sizes = QUICK if chosen.quick else FULL
    with harness.scratch() as folder:
        figures = uvloop.run(measure(folder, sizes)) | crash(folder, sizes.entries_before_crash)
    table(
        (f"{figures['entries']:,} entries by {CALLERS} callers", "measured", "wanted"),
        [
            ("entries a second", figures["entries_per_s"], ">= 10,000"),
            ("p99 until durable, ms", figures["p99_ms"], "<= 150"),
            ("CPU for an entry, us", figures["cpu_us_per_entry"], "<= 50"),
            ("bytes of an entry", figures["bytes_per_entry"], "<= 800"),
            (f"p99 at {OFFERED_PER_S:,} a second, ms", figures["offered_1000_p99_ms"], ""),
            ("open again after kill -9, s", figures["restart_s"], ""),
            (f"of {figures['acknowledged']:,} acknowledged, lost", figures["lost"], "0"),
        ],
    )
    harness.finish(figures)


if __name__ == "__main__":
    main()
