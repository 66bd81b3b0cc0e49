"""Keys, signers and revocations that another process changed are taken over: they are in force everywhere."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, NoReturn

from macroslow.errors import LogUnavailableError
from macroslow.services.identity.manage_keys import ManageKeys
from macroslow.services.identity.manage_revocations import ManageRevocations
from macroslow.services.identity.manage_signers import ManageSigners

EVERY_S: Final = 0.3  # a key that another process revoked works so much longer here
NEVER_READ: Final = -1


@dataclass(slots=True)
class FollowIdentities:
    """`version` tells a number that grows with every change of any process."""

    version: Callable[[], Awaitable[int]]
    keys: ManageKeys
    revocations: ManageRevocations
    signers: ManageSigners
    read_version: int = NEVER_READ

    async def run(self, every_s: float = EVERY_S) -> NoReturn:
        """Follow for ever. Books that are away are asked again; nothing that needs them is served."""
        while True:
            with suppress(LogUnavailableError):
                await self.once()
            await asyncio.sleep(every_s)

    async def once(self) -> None:
        """Read what is stored, if it changed. LogUnavailableError, and then the next time reads it."""
        version = await self.version()
        if version == self.read_version:
            return
        await self.keys.load()
        await self.revocations.load()
        await self.signers.load()
        self.read_version = version
