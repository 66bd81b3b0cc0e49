"""The shared rate states in PostgreSQL: `limits.ports.RateTable` in one unlogged table.

Reading and writing are one statement each, whatever the number of keys. The table is unlogged: a
crash of the server empties it and every limit starts afresh, which is worth a minute of a provider's limit
at most. Money is not here.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Final, Self

from macroslow.adapters.postgres._link import BY_KEYS, Connection, Link, Row
from macroslow.adapters.postgres._schema import prepare
from macroslow.errors import LogUnavailableError
from macroslow.limits.ports import OutOfReachError
from macroslow.limits.rounds import LIFETIME_NS, Stored, Write

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
        self._forget_s = 0.0

    @classmethod
    async def open(cls, url: str) -> Self:
        """Open the database at `url`, making the tables if there are none. ConfigurationError if it fails."""
        await prepare(url)
        return cls(Link(url, {**BY_KEYS, "synchronous_commit": "off"}))

    async def close(self) -> None:
        """Release the connection. Idempotent."""
        await self._link.close()

    async def read(self, keys: Sequence[str]) -> tuple[Mapping[str, Stored], int]:
        """Return what is stored, and the server's time. A lost connection is made anew once."""
        try:
            rows = await self._read(keys)
        except OutOfReachError:
            if not self._link.lost:
                raise
            rows = await self._read(keys)
        found = {key: Stored(stamp_ns, state) for key, stamp_ns, state, _ in rows if stamp_ns}
        return found, rows[0][3]

    async def _read(self, keys: Sequence[str]) -> Sequence[Row]:
        async with self._use() as connection:
            return await connection.fetch(_READ, keys)

    async def write(self, writes: Sequence[Write]) -> Sequence[str]:
        """Return the keys that were written. Now and then, forget what nobody has changed for long."""
        now_s = asyncio.get_running_loop().time()
        async with self._use() as connection:
            written = await connection.fetch(_WRITE, *_columns(writes))
            if now_s > self._forget_s:
                self._forget_s = now_s + FORGET_S
                await connection.execute(_FORGET, LIFETIME_NS)
        return [key for (key,) in written]

    @asynccontextmanager
    async def _use(self) -> AsyncIterator[Connection]:
        try:
            async with self._link.use() as connection:
                yield connection
        except LogUnavailableError as error:
            raise OutOfReachError(error.reason) from error


def _columns(writes: Sequence[Write]) -> tuple[list[object], ...]:
    return (
        [write.key for write in writes],
        [write.before_ns for write in writes],
        [write.new.stamp_ns for write in writes],
        [write.new.state for write in writes],
    )
