"""Whether the log can take new work: the reasons why not, each held by whoever found it.

New work is what would have to be logged: calls, runs, tools. Settling, revoking, erasing and reading go on
while a reason is held; the disk is looked at ahead so that there is room left for them.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, NoReturn

LOOK_EVERY_S: Final = 1.0
MIB: Final = 1024 * 1024

log: Final = logging.getLogger("macroslow.log")


class LogHealth:
    """One per process. Each reason has a name, so that whoever holds it can change or release it."""

    def __init__(self) -> None:
        self._held: dict[str, str] = {}

    def hold(self, name: str, reason: str) -> None:
        """Take no new work, and say why; told once where it is the same reason again."""
        if self._held.get(name) != reason:
            log.error("no new work is taken: %s", reason)
        self._held[name] = reason

    def release(self, name: str) -> None:
        """This reason is gone. Idempotent."""
        reason = self._held.pop(name, None)
        if reason is not None:
            log.warning("over: %s%s", reason, "" if self._held else "; new work is taken again")

    def reasons(self) -> list[str]:
        """Why new work is not taken; empty: it is."""
        return list(self._held.values())


@dataclass(frozen=True, slots=True)
class WatchDisk:
    """Holds back new work while a disk has less than its reserve free.

    `free_bytes` asks each disk by its path; OSError is as good as no room.
    """

    health: LogHealth
    free_bytes: Mapping[str, Callable[[], int]]
    reserve_bytes: int
    _told: dict[str, str] = field(default_factory=dict, init=False, repr=False)

    def look(self) -> None:
        """Look once. What was below the reserve must be a tenth above it to count as mended.

        The reason says what was free when it went below, or it would be another one at each look.
        """
        for path, ask in self.free_bytes.items():
            name = f"disk {path}"
            wanted_bytes = self.reserve_bytes * 11 // 10 if name in self._told else self.reserve_bytes
            try:
                free_bytes = ask()
                first = short = self._told.get(name) or self._short(path, free_bytes)
            except OSError as error:
                free_bytes, first = -1, ""
                short = f"the disk of {path} does not answer: {error.strerror}"
            if free_bytes < wanted_bytes:
                self._told[name] = first
                self.health.hold(name, short)
            else:
                self._told.pop(name, None)
                self.health.release(name)

    def _short(self, path: str, free_bytes: int) -> str:
        return (
            f"the disk of {path} has {free_bytes // MIB} MiB free,"
            f" less than the {self.reserve_bytes // MIB} MiB of [log] disk_reserve_mib"
        )

    async def run(self) -> NoReturn:
        """Look for ever."""
        while True:
            self.look()
            await asyncio.sleep(LOOK_EVERY_S)
