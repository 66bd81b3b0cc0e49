"""A credential that ends takes with it what goes on under it: requests, streams, places in a queue."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, NoReturn

from macroslow.authn.principal import Principal

EVERY_S: Final = 0.1  # a credential that has ended is in use for so much longer
Admits = Callable[[Principal], bool]


@dataclass(frozen=True, slots=True)
class WithdrawEnded:
    """`admits` tells whether a caller would be let in now; each holder ends what goes on for any other."""

    admits: Admits
    holders: Sequence[Callable[[Admits], None]]

    async def run(self, every_s: float = EVERY_S) -> NoReturn:
        """Look for ever."""
        while True:
            await asyncio.sleep(every_s)
            for withdraw in self.holders:
                withdraw(self.admits)
