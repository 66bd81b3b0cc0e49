"""Sandboxes forked ahead of their jobs: each waits sealed and empty, serves one job and is gone.

All spares are alike, as the last job wanted its own; another kind of job gets a fresh one.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from macroslow.adapters.sandbox._meter import Meter
from macroslow.adapters.sandbox._process import Process
from macroslow.adapters.sandbox._zygote import Zygote
from macroslow.errors import SandboxUnavailableError
from macroslow.workflow.sandbox import Limits


@dataclass(frozen=True, slots=True)
class Wanted:
    """What must be known of a job before its sandbox is forked."""

    limits: Limits
    egress: bool
    cell: bool
    modules: tuple[str, ...]  # that were loaded ahead of the fork


@dataclass(slots=True, eq=False)
class Cabin:
    """An empty sandbox that waits for its job; `stack` undoes it."""

    process: Process
    meter: Meter
    folder: str | None
    zygote: Zygote
    stack: contextlib.AsyncExitStack


@dataclass(slots=True, eq=False)
class Pool:
    """Up to `size` spares of one kind. Its tasks end with `close`."""

    size: int = 0
    _wanted: Wanted | None = None
    spares: list[Cabin] = field(default_factory=list)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _pending: int = 0

    def take(self, wanted: Wanted, zygote: Zygote | None) -> Cabin | None:
        """Return a living spare of that kind and of the present zygote; drop those that do not fit."""
        if wanted != self._wanted:
            self._wanted = wanted
            self.drop_all()
        while self.spares:
            spare = self.spares.pop()
            if spare.zygote is zygote and spare.process.alive:
                return spare
            self._spawn(spare.stack.aclose())
        return None

    def refill(self, wanted: Wanted, fork: Callable[[Wanted], Awaitable[Cabin]]) -> None:
        """Fork what is missing, in the background."""
        while len(self.spares) + self._pending < self.size:
            self._pending += 1
            self._spawn(self._add(wanted, fork))

    async def _add(self, wanted: Wanted, fork: Callable[[Wanted], Awaitable[Cabin]]) -> None:
        try:
            spare = await fork(wanted)
        except SandboxUnavailableError:  # whoever needs one will meet the reason
            return
        finally:
            self._pending -= 1
        if wanted == self._wanted and self.size > len(self.spares):
            self.spares.append(spare)
        else:
            await spare.stack.aclose()

    def drop_all(self) -> None:
        """End the spares that wait."""
        for spare in self.spares:
            self._spawn(spare.stack.aclose())
        self.spares.clear()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """End all spares and what is being done for them."""
        self.size = 0
        self.drop_all()
        await asyncio.gather(*self._tasks, return_exceptions=True)
