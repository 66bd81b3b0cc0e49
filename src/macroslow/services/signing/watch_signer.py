"""Whether the signer is there: one that has ended does not come back beneath a running gateway."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NoReturn

from macroslow.services.signing.log_health import LogHealth

LOOK_EVERY_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class WatchSigner:
    """Holds back new work once the signer has ended: nothing of it would be signed."""

    health: LogHealth
    alive: Callable[[], bool]

    def look(self) -> None:
        """Look once."""
        if not self.alive():
            self.health.hold("signer", "the log's signer has ended: start the gateway again")

    async def run(self) -> NoReturn:
        """Look for ever."""
        while True:
            self.look()
            await asyncio.sleep(LOOK_EVERY_S)
