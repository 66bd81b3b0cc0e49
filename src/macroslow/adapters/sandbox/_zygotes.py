"""The zygotes of one backend: one at a time is forked from, until it has died or has served its time."""

import asyncio
from dataclasses import dataclass, field

from macroslow.adapters.sandbox._profile import profile_of
from macroslow.adapters.sandbox._zygote import Launcher, Zygote
from macroslow.errors import SandboxUnavailableError


@dataclass(slots=True, eq=False)
class Zygotes:
    """Whoever takes one leaves it again. `launcher` starts them for us, if we may not."""

    backend: str
    runs_each: int
    launcher: Launcher | None
    current: Zygote | None = None
    modules: tuple[str, ...] = ()  # that each loads before any fork
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    _closed: bool = False

    async def take(self) -> Zygote:
        """The living one, or a new one, for one more run. SandboxUnavailableError if there is none."""
        async with self._lock:
            zygote = await self._living()
            zygote.runs += 1
            zygote.active += 1
            return zygote

    async def leave(self, zygote: Zygote) -> None:
        """A run of it is over, or never began."""
        zygote.active -= 1
        await self._close_if_done(zygote)

    async def discard(self, zygote: Zygote) -> None:
        """Take this one no more: it has died."""
        async with self._lock:
            if self.current is zygote:
                self.current = None
                await zygote.close()

    async def warm(self, modules: tuple[str, ...]) -> None:
        """Load the modules ahead of all forks from now on."""
        async with self._lock:
            self.modules = modules
            if self.current is not None:
                await self.current.warm(modules)

    async def close(self) -> None:
        """End the present one, or the one that is about to be, and start no other."""
        self._closed = True
        async with self._lock:
            if self.current is not None:
                await self.current.close()
                self.current = None

    async def _living(self) -> Zygote:
        if self._closed:
            raise SandboxUnavailableError("the sandbox is closed")
        current = self.current
        if current is not None and not current.alive:
            await current.close()
            current = None
        if current is None or current.runs >= self.runs_each:
            fresh = await Zygote.start(profile_of(self.backend), self.launcher, self.backend)
            self.current = fresh  # at once: whoever takes it may be cancelled from here on
            if current is not None:
                current.retired = True
                await self._close_if_done(current)
            if self.modules:
                await fresh.warm(self.modules)
            return fresh
        return current

    async def _close_if_done(self, zygote: Zygote) -> None:
        """One that was replaced finishes its runs; whoever ends the last one closes it."""
        if zygote.retired and not zygote.active:
            await zygote.close()
