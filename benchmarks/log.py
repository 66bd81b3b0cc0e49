"""What an entry of the log costs: appended by many callers at once, at a steady rate, and after a crash.

The core of a gateway as its configuration opens it (books, signer, checkpoints), without the requests around
it: each entry is the event of a chat call, sealed under its subject's key, hashed into the tree, and in one
commit with those of other callers; a checkpoint is signed every second. Latency counts to the moment when
the entry is durable. Then a writing process is killed, what it left is opened, and every entry that it had
promised is looked for; and `macroslow serve` is started on a log of a million entries.
"""

import argparse
import asyncio
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import harness
import orjson
import uvloop
from harness import percentile, table

from macroslow.bootstrap.state.core import Core, open_core
from macroslow.services.audit.verify_log import VerifyLog
from macroslow.settings.load import load
from macroslow.tlog import receipt
from macroslow.tlog.event import Event, EventType
from macroslow.tlog.ports import Append, Entry
from macroslow.web.serve import few_collections

CALLERS: Final = 512
SUBJECTS: Final = 16
OFFERED_PER_S: Final = 1_000
SIGN_EVERY_S: Final = 1.0
BOOKS: Final = Path(".macroslow", "books.sqlite")
PROOFS: Final = 200
READY_LIMIT_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Sizes:
    """How long, how many entries there are before the crash, and how many in the large log."""

    warm_s: float
    busy_s: float
    steady_s: float
    entries_before_crash: int
    large: int


FULL: Final = Sizes(warm_s=2, busy_s=10, steady_s=10, entries_before_crash=50_000, large=1_000_000)
QUICK: Final = Sizes(warm_s=0.1, busy_s=1, steady_s=1, entries_before_crash=2_000, large=2_000)


def fields_of(number: int) -> dict[str, object]:
    """What one chat call of caller `number` leaves in the log."""
    return {
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


FIELDS: Final = [fields_of(number) for number in range(CALLERS)]  # made before anything is measured


def event(number: int) -> Event:
    """One call of caller `number`, over now."""
    fields = FIELDS[number % CALLERS]
    return Event(EventType.CHAT_COMPLETED, time.time_ns(), f"agent-{number % SUBJECTS}", fields)


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[Core]:
    """The core of the gateway that `folder` describes; what is unsigned is signed every second.

    Python's collector runs as seldom as in a gateway that serves.
    """
    settings = load(configuration(folder), {})
    async with open_core(settings) as core:
        signing = asyncio.create_task(sign_for_ever(core))
        try:
            with few_collections():
                yield core
        finally:
            signing.cancel()
            with suppress(asyncio.CancelledError):
                await signing


def configuration(folder: Path, port: int = 0) -> Path:
    """Write what a gateway needs to start: a provider that nobody will ask."""
    folder.mkdir(exist_ok=True)
    file = folder / "macroslow.toml"
    file.write_text(
        f'[server]\nlisten = "127.0.0.1:{port}"\n'
        '[providers.bench]\nbase_url = "http://127.0.0.1:9/v1"\nemulator = true\n'
    )
    return file


async def sign_for_ever(core: Core) -> None:
    """Have the log signed as a serving gateway does."""
    signed = 0
    while True:
        await asyncio.sleep(SIGN_EVERY_S)
        if (size := (await core.books.head()).size) > signed:
            await core.checkpoints.newest()
            signed = size


async def append(core: Core, number: int) -> Entry:
    """One caller's entry, durable."""
    (entry,) = await core.books.commit(Append(event(number)))
    return entry


async def busy(core: Core, goes_on: Callable[[int], bool]) -> tuple[list[float], float, float]:
    """CALLERS at once, each with one entry at a time, while `goes_on(entries so far)`.

    Latencies in ms, seconds of wall and of CPU (this process and the signer's).
    """
    latencies_ms: list[float] = []
    began_s, cpu_s = time.perf_counter(), harness.cpu_s_of(os.getpid())

    async def caller(number: int) -> None:
        while goes_on(len(latencies_ms)):
            asked_s = time.perf_counter()
            await append(core, number)
            latencies_ms.append((time.perf_counter() - asked_s) * 1e3)

    await asyncio.gather(*map(caller, range(CALLERS)))
    return latencies_ms, time.perf_counter() - began_s, harness.cpu_s_of(os.getpid()) - cpu_s


def for_seconds(seconds: float) -> Callable[[int], bool]:
    """Goes on so long from now."""
    until_s = time.perf_counter() + seconds
    return lambda _: time.perf_counter() < until_s


async def steady(core: Core, seconds: float) -> list[float]:
    """OFFERED_PER_S, each when it is due, whether or not those before are durable: latencies in ms."""
    began_s = time.perf_counter()

    async def due(at: int, due_s: float) -> float:
        await append(core, at)
        return (time.perf_counter() - due_s) * 1e3

    asked = []
    for at in range(round(seconds * OFFERED_PER_S)):
        due_s = began_s + at / OFFERED_PER_S
        await asyncio.sleep(max(0.0, due_s - time.perf_counter()))
        asked.append(asyncio.create_task(due(at, due_s)))
    return await asyncio.gather(*asked)


async def measure(folder: Path, sizes: Sizes) -> dict[str, Any]:
    """The two loads, and what the file has grown by."""
    async with opened(folder) as core:
        await busy(core, for_seconds(sizes.warm_s))
    size_bytes = (folder / BOOKS).stat().st_size
    async with opened(folder) as core:
        before = (await core.books.head()).size
        latencies_ms, wall_s, cpu_s = await busy(core, for_seconds(sizes.busy_s))
        if (await core.books.head()).size != before + len(latencies_ms):
            raise RuntimeError("the log has another number of entries than were appended")
    grown_bytes = (folder / BOOKS).stat().st_size - size_bytes
    async with opened(folder) as core:
        steady_ms = await steady(core, sizes.steady_s)
    return {
        "entries_per_s": len(latencies_ms) / wall_s,
        "p99_ms": percentile(latencies_ms, 99),
        "cpu_us_per_entry": cpu_s / len(latencies_ms) * 1e6,
        "bytes_per_entry": grown_bytes / len(latencies_ms),
        "offered_1000_p99_ms": percentile(steady_ms, 99),
        "entries": len(latencies_ms),
    }


async def write_until_killed(folder: Path) -> None:
    """Append for ever; the index of every entry that is durable goes to standard output at once."""

    async def caller(number: int) -> None:
        while True:
            os.write(1, b"%d\n" % (await append(core, number)).index)

    async with opened(folder) as core:
        await asyncio.gather(*map(caller, range(CALLERS)))


def killed(folder: Path, entries: int) -> set[int]:
    """Kill a writer after so many acknowledged entries; return the indices that it acknowledged."""
    command = [sys.executable, __file__, "--until-killed", str(folder)]
    promised = set()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        for line in writer.stdout:
            promised.add(int(line))
            if len(promised) == entries:
                writer.send_signal(signal.SIGKILL)
    if len(promised) < entries:
        raise RuntimeError("the writer ended before it was killed")
    return promised


async def lost(folder: Path, promised: set[int]) -> int:
    """How many of the promised entries are not there, or do not open."""
    async with opened(folder) as core:
        size = (await core.books.head()).size
        whole = {logged.index for logged in await core.books.entries(0, size) if logged.event is not None}
    return len(promised - whole)


def crash(folder: Path, entries: int) -> dict[str, Any]:
    """Kill a writer after so many entries and look for all that it had promised."""
    promised = killed(folder, entries)
    if missing := asyncio.run(lost(folder, promised)):
        raise RuntimeError(f"{missing} acknowledged entries are lost")
    return {"acknowledged": len(promised), "lost": missing}


def large(folder: Path, entries: int) -> dict[str, Any]:
    """A log of so many entries whose writer was killed: its next start, and what is asked of it then."""
    uvloop.run(fill(folder, entries))
    killed(folder, min(entries, FULL.entries_before_crash))
    return {"large": entries, "restart_s": restarted(folder)} | uvloop.run(asked_of(folder))


async def fill(folder: Path, entries: int) -> None:
    async with opened(folder) as core:
        await busy(core, lambda so_far: so_far < entries)


def restarted(folder: Path) -> float:
    """Seconds from the command `macroslow serve` until it is ready for work."""
    port = harness.free_port()
    command = [sys.executable, "-m", "macroslow", "serve", "--config", str(configuration(folder, port))]
    began_s = time.perf_counter()
    with harness.spawned("serve", command, harness.GATEWAY_CORE, folder) as server:
        while not is_ready(port):
            if server.popen.poll() is not None or time.perf_counter() > began_s + READY_LIMIT_S:
                raise RuntimeError(f"the gateway does not start: see {folder}/serve.log")
            time.sleep(0.01)
        return time.perf_counter() - began_s


def is_ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health/ready", timeout=1) as answer:
            return answer.status == 200
    except (OSError, urllib.error.URLError):
        return False


async def asked_of(folder: Path) -> dict[str, Any]:
    """Proofs of entries spread over the log, their check by a stranger, and the whole log verified."""
    proved_ms, verified_ms = [], []
    async with opened(folder) as core:
        size = (await core.books.head()).size
        await core.checkpoints.newest()
        key = core.signer.keys.current
        for at in range(PROOFS):
            began_s = time.perf_counter()
            made = await core.prove.by_index(at * size // PROOFS)
            proved_ms.append((time.perf_counter() - began_s) * 1e3)
            raw = orjson.dumps(made)
            began_s = time.perf_counter()
            receipt.verify(raw, key)
            verified_ms.append((time.perf_counter() - began_s) * 1e3)
        began_s = time.perf_counter()
        found = await VerifyLog(core.books, key)()
        whole_s = time.perf_counter() - began_s
    return {
        "prove_p50_ms": percentile(proved_ms, 50),
        "verify_receipt_p50_ms": percentile(verified_ms, 50),
        "verify_whole_us_per_entry": whole_s / found.entries * 1e6,
    }


def main() -> None:
    """Measure and report."""
    parser = harness.options(__doc__.partition("\n")[0])
    parser.add_argument("--until-killed", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    os.sched_setaffinity(0, {harness.GATEWAY_CORE})
    if chosen.until_killed:
        uvloop.run(write_until_killed(chosen.until_killed))
        return
    sizes = QUICK if chosen.quick else FULL
    with harness.scratch() as folder:
        os.environ["XDG_STATE_HOME"] = str(folder)  # where marks of signed logs are kept
        figures = uvloop.run(measure(folder / "load", sizes))
        figures |= crash(folder / "crash", sizes.entries_before_crash)
        figures |= large(folder / "large", sizes.large)
    table(
        (f"{figures['entries']:,} entries by {CALLERS} callers", "measured", "wanted"),
        [
            ("entries a second", figures["entries_per_s"], ">= 10,000"),
            ("p99 until durable, ms", figures["p99_ms"], "<= 150"),
            ("CPU for an entry, us", figures["cpu_us_per_entry"], "<= 50"),
            ("bytes of an entry", figures["bytes_per_entry"], "<= 800"),
            (f"p99 at {OFFERED_PER_S:,} a second, ms", figures["offered_1000_p99_ms"], "<= 40"),
            (f"of {figures['acknowledged']:,} acknowledged, lost after kill -9", figures["lost"], "0"),
            (f"serve is ready on {figures['large']:,} entries, s", figures["restart_s"], "<= 2"),
            ("a receipt is made, ms", figures["prove_p50_ms"], ""),
            ("a receipt is verified, ms", figures["verify_receipt_p50_ms"], ""),
            ("the whole log is verified, us an entry", figures["verify_whole_us_per_entry"], ""),
        ],
    )
    harness.finish(figures)


if __name__ == "__main__":
    main()
