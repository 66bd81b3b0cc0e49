"""Which processes live: each holds a lock of the database on its own name, as long as it lives.

The lock goes with its session, so the database sees the death of a process that no clock and no heartbeat
would tell from slowness. A session may also end while its process lives on (the server restarts, the
network fails); the process then takes its lock again. So an owner counts as dead only when its lock was
found free, and GRACE_S later, by the server's clock, is free still.

A name may go over to another process while its predecessor hangs, or is cut off. Each that takes a name
gets the next epoch of it, and batches of an older epoch are refused: whoever lost its name writes nothing.
"""

import asyncio
import contextlib
import hashlib
from typing import Final

from macroslow.adapters.postgres._link import ANSWER_S, FAILURES, Connection, connect
from macroslow.errors import ConfigurationError

GRACE_S: Final = 30.0
WATCH_S: Final = 1.0
TAKEN_AT_START_S: Final = 15.0  # how long a predecessor's session may take to be noticed as gone

_TAKE: Final = "SELECT pg_try_advisory_lock($1)"
_ENTER: Final = """
INSERT INTO owners (owner, epoch) VALUES ($1, 1)
ON CONFLICT (owner) DO UPDATE SET gone_since = NULL, epoch = owners.epoch + 1 RETURNING epoch
"""
_BACK: Final = "UPDATE owners SET gone_since = NULL WHERE owner = $1 AND gone_since IS NOT NULL"
_HELD: Final = """
SELECT EXISTS (
    SELECT FROM pg_locks
    WHERE locktype = 'advisory' AND objsubid = 1 AND granted AND mode = 'ExclusiveLock'
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND classid::bigint = ($1::bigint >> 32) & 4294967295 AND objid::bigint = $1::bigint & 4294967295
)
"""
_GONE: Final = """
INSERT INTO owners (owner, epoch, gone_since) VALUES ($1, 0, now())
ON CONFLICT (owner) DO UPDATE SET gone_since = coalesce(owners.gone_since, now())
RETURNING extract(epoch FROM now() - gone_since)::float8
"""


class Presence:
    """Holds this process's lock on a connection of its own, and takes it again when that was lost."""

    def __init__(self, url: str, owner: str) -> None:
        self._url = url
        self._owner = owner
        self._connection: Connection | None = None
        self._held = False
        self._watch: asyncio.Task[None] | None = None

    async def start(self) -> int:
        """Take the lock; return the epoch of this process under its name.

        ConfigurationError if another process goes by this name; else a driver's error.
        """
        until_s = asyncio.get_running_loop().time() + TAKEN_AT_START_S
        connection = await self._take()
        while not self._held:  # a predecessor of this name may not be noticed as gone yet
            if asyncio.get_running_loop().time() > until_s:
                raise ConfigurationError(
                    f"another process calls itself {self._owner}",
                    fix="give every process that uses the database a name of its own",
                )
            await asyncio.sleep(WATCH_S)
            connection = await self._take()
        epoch: int = await connection.fetchval(_ENTER, self._owner)
        self._watch = asyncio.create_task(self._keep())
        return epoch

    async def close(self) -> None:
        """Release the lock. Idempotent."""
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.wait([self._watch])
        if self._connection is not None:
            with contextlib.suppress(*FAILURES):
                await self._connection.close(timeout=ANSWER_S)

    async def _take(self) -> Connection:
        """See that the session lives, take the lock unless somebody else has it, and say so."""
        if self._connection is None or self._connection.is_closed():
            self._held = False
            self._connection = await connect(self._url)
        if not self._held:
            self._held = await self._connection.fetchval(_TAKE, lock_of(self._owner))
        if self._held:
            await self._connection.execute(_BACK, self._owner)
        return self._connection

    async def _keep(self) -> None:
        """Ask now and then whether the session lives; if not, begin another."""
        while True:
            await asyncio.sleep(WATCH_S)
            try:
                await self._take()
            except FAILURES:
                if self._connection is not None:
                    self._connection.terminate()


async def is_alive(connection: Connection, owner: str, grace_s: float) -> bool:
    """Return whether the process of that name lives, or may still come back."""
    if await connection.fetchval(_HELD, lock_of(owner)):
        return True
    gone_s: float = await connection.fetchval(_GONE, owner)
    return gone_s < grace_s


def lock_of(owner: str) -> int:
    """The number of the advisory lock of a name, of 64 bits with sign."""
    digest = hashlib.sha256(b"macroslow owner " + owner.encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)
