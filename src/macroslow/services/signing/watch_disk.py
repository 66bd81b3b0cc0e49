"""Look at the disks ahead: new work is held back while there is still room to settle, revoke and erase."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, NoReturn

from macroslow.ports import MIB
from macroslow.services.signing.log_health import LogHealth

LOOK_EVERY_S: Final = 1.0


def shortage(path: str, free_bytes: int, reserve_bytes: int) -> str:
    """What is wrong with a disk that has less than its reserve free."""
    return (
        f"the disk of {path} has {free_bytes // MIB} MiB free,"
        f" less than the {reserve_bytes // MIB} MiB of [log] disk_reserve_mib"
    )


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
                first = short = self._told.get(name) or shortage(path, free_bytes, self.reserve_bytes)
            except OSError as error:
                free_bytes, first = -1, ""
                short = f"the disk of {path} does not answer: {error.strerror}"
            if free_bytes < wanted_bytes:
                self._told[name] = first
                self.health.hold(name, short)
            else:
                self._told.pop(name, None)
                self.health.release(name)

    async def run(self) -> NoReturn:
        """Look for ever."""
        while True:
            self.look()
            await asyncio.sleep(LOOK_EVERY_S)
