"""The shared rate states in PostgreSQL: `limits.ports.RateStore` in one unlogged table.

Two statements a round, whatever the number of callers (see `limits.rounds`). The table is unlogged: a
crash of the server empties it and every limit starts afresh, which is worth a minute of a provider's limit
at most. Money is not here. Where the database cannot be reached, nothing is let in: OverloadedError.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Final, Self, TypeVar

from macroslow.adapters.postgres._link import BY_KEYS, Link, Row
from macroslow.adapters.postgres._schema import prepare
from macroslow.errors import LogUnavailableError
from macroslow.limits.rounds import LIFETIME_NS, Rounds, Stored, Write

T = TypeVar("T")

log: Final = logging.getLogger("macroslow.limits")

FORGET_S: Final = 600.0  # between two looks for states that have expired

_READ: Final = """
SELECT w.key, r.stamp_ns, r.state, (extract(epoch FROM clock_timestamp()) * 1000000000)::bigint
FROM unnest($1::text[]) AS w (key) LEFT JOIN rates r ON r.key = w.key
"""
_WRITE: Final = """
INSERT INTO rates (key, before_ns, stamp_ns, state)
SELECT * FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::bytea[]) AS new (key) ORDER BY key
ON CONFLICT (key) DO UPDATE SET
    before_ns = excluded.before_ns, stamp_ns = excluded.stamp_ns, state = excluded.state
WHERE rates.stamp_ns = excluded.before_ns
RETURNING key
"""
_FORGET: Final = """
DELETE FROM rates WHERE stamp_ns < (extract(epoch FROM clock_timestamp()) * 1000000000)::bigint - $1
"""


class PostgresRates:
    """One process's way to the states. Belongs to the event loop that opened it."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._rounds = Rounds()
        self._wake = asyncio.Event()
        self._away = False
        self._forget_s = 0.0
        self._task = asyncio.create_task(self._run())

    @classmethod
    async def open(cls, url: str) -> Self:
        """Open the database at `url`, making the tables if there are none. ConfigurationError if it fails."""
        await prepare(url)
        return cls(Link(url, {**BY_KEYS, "synchronous_commit": "off"}))

    async def change(self, key: str, decide: Callable[[bytes | None, int], tuple[bytes | None, T]]) -> T:
        """See `limits.ports.RateStore`."""
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._rounds.ask(key, decide, done)
        self._wake.set()
        return await done

    async def close(self) -> None:
        """End the rounds and release the connection. Idempotent."""
        self._task.cancel()
        await asyncio.wait([self._task])
        await self._link.close()

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._rounds.waiting:
                await self._round(self._rounds.begin())

    async def _round(self, keys: Sequence[str]) -> None:
        try:
            rows = await self._read(keys)
            found = {key: Stored(stamp_ns, state) for key, stamp_ns, state, _ in rows if stamp_ns}
            self._rounds.end(await self._write(self._rounds.decide(found, rows[0][3])))
            self._away = False
        except LogUnavailableError as error:
            self._rounds.out_of_reach()
            if not self._away:  # once for each outage, not for each call that it refuses
                log.warning("the shared limits cannot be reached: %s", error.reason)
            self._away = True
        except Exception as error:  # noqa: BLE001  this task's outermost handler: who waits is told
            self._rounds.fail(error)

    async def _read(self, keys: Sequence[str]) -> Sequence[Row]:
        """Return key, stamp, state and the server's time for each. A lost connection is made anew once."""
        try:
            async with self._link.use() as connection:
                return await connection.fetch(_READ, keys)
        except LogUnavailableError:
            if not self._link.lost:
                raise
        async with self._link.use() as connection:
            return await connection.fetch(_READ, keys)

    async def _write(self, writes: Sequence[Write]) -> Sequence[str]:
        """Return the keys that were written. Now and then, forget what nobody has changed for long."""
        if not writes:
            return []
        now_s = asyncio.get_running_loop().time()
        async with self._link.use() as connection:
            written = await connection.fetch(_WRITE, *_columns(writes))
            if now_s > self._forget_s:
                self._forget_s = now_s + FORGET_S
                await connection.execute(_FORGET, LIFETIME_NS)
        return [key for (key,) in written]


def _columns(writes: Sequence[Write]) -> tuple[list[object], ...]:
    return (
        [write.key for write in writes],
        [write.before_ns for write in writes],
        [write.new.stamp_ns for write in writes],
        [write.new.state for write in writes],
    )
