"""Rounds of changes on a shared table of states: a `limits.ports.RateStore` on a `limits.ports.RateTable`.

Two journeys a round, whatever the number of callers (see `limits.rounds`). Where the table is out of reach,
nothing is let in: OverloadedError, which names no address; the log does, once for each outage.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from macroslow.limits.ports import OutOfReachError, RateTable
from macroslow.limits.rounds import Rounds

T = TypeVar("T")

log: Final = logging.getLogger("macroslow.limits")


class RateRounds:
    """One process's way to the states, and the owner of `table`. Belongs to the event loop that made it."""

    def __init__(self, table: RateTable) -> None:
        self._table = table
        self._rounds = Rounds()
        self._wake = asyncio.Event()
        self._away = False
        self._task = asyncio.create_task(self._run())

    async def change(self, key: str, decide: Callable[[bytes | None, int], tuple[bytes | None, T]]) -> T:
        """See `limits.ports.RateStore`."""
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._rounds.ask(key, decide, done)
        self._wake.set()
        return await done

    async def close(self) -> None:
        """End the rounds and close the table. Idempotent."""
        self._task.cancel()
        await asyncio.wait([self._task])
        await self._table.close()

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._rounds.waiting:
                await self._round(self._rounds.begin())

    async def _round(self, keys: Sequence[str]) -> None:
        try:
            found, now_ns = await self._table.read(keys)
            writes = self._rounds.decide(found, now_ns)
            self._rounds.end(await self._table.write(writes) if writes else ())
            self._away = False
        except OutOfReachError as error:
            self._rounds.out_of_reach()
            if not self._away:
                log.warning("the shared limits cannot be reached: %s", error)
            self._away = True
        except Exception as error:  # noqa: BLE001  this task's outermost handler: who waits is told
            self._rounds.fail(error)
