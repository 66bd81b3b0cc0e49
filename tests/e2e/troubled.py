"""A provider that fails as a test says: the emulator in a thread, its next trouble set from outside.

Besides, what a gateway occupies while it has to do with such a one.
"""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from macroslow.emulator import Faults, create_emulator, parse_latency, running
from macroslow.emulator.faults import Trouble

NONE = Trouble()


class Switch(Faults):
    """`next_ones` befall the next requests, one each; then `always`, or nothing."""

    def __init__(self) -> None:
        object.__setattr__(self, "next_ones", [])
        object.__setattr__(self, "always", NONE)
        object.__setattr__(self, "retry_after_s", None)

    def at(self, number: int) -> Trouble:
        """What befalls the next request."""
        return self.next_ones.pop(0) if self.next_ones else self.always

    def set(self, *troubles: Trouble, always: Trouble = NONE, retry_after_s: float | None = None) -> None:
        """Plan what comes."""
        object.__setattr__(self, "next_ones", [*troubles])
        object.__setattr__(self, "always", always)
        object.__setattr__(self, "retry_after_s", retry_after_s)

    next_ones: list[Trouble]
    always: Trouble


class TroubledProvider:
    """Its address, its switch, and what it billed."""

    def __init__(self, latency: str) -> None:
        self.url = ""
        self.switch = Switch()
        self.emulator = create_emulator(faults=self.switch, latency=parse_latency(latency))

    @property
    def statistics(self) -> dict[str, Any]:
        """As `/emulator/stats` tells."""
        return self.emulator.statistics.report(0)


@contextmanager
def troubled_provider(latency: str = "") -> Iterator[TroubledProvider]:
    """Serve until the context is left."""
    provider = TroubledProvider(latency)
    loop = asyncio.new_event_loop()
    started, stop = threading.Event(), asyncio.Event()

    async def serve() -> None:
        async with running(provider.emulator) as provider.url:
            started.set()
            await stop.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    try:
        started.wait(30)
        yield provider
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()


def memory_bytes(pid: int) -> int:
    """What a process and those that it started occupy, what they share counted once; 0 if it has ended."""
    with suppress(OSError):
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
        own = int(rollup.partition("Pss:")[2].split()[0]) * 1024
        return own + sum(map(memory_bytes, map(int, children)))
    return 0
