"""The room that erased keys leave: their table is written anew, so that no file of the database holds them.

A row that was deleted stays as long as some transaction may still see it, and in a table written anew it
would stand again. So those that were open before the erasure are waited for: other processes' batches, which
soon end. A failure is logged and no more: the keys are deleted all the same.
"""

import asyncio
import logging
from typing import Final

from macroslow.adapters.postgres._link import FAILURES, Connection, connect

log: Final = logging.getLogger("macroslow.books")

VACUUM: Final = "VACUUM (FULL) macroslow_subjects.keys"
VACUUM_S: Final = 600.0
OLDER_END_S: Final = 30.0
ASK_AGAIN_S: Final = 0.05
_NOT_WAITING: Final = {"lock_timeout": "3s"}
"""Batches wait behind a vacuum that itself waits, for a dump of the keys say."""

_NOW: Final = "SELECT pg_snapshot_xmax(pg_current_snapshot())::xid::text"
_OLDER: Final = """
SELECT EXISTS (
    SELECT FROM pg_stat_activity
    WHERE pid <> pg_backend_pid() AND (datname = current_database() OR datname IS NULL)
        AND age(backend_xmin) > age($1::text::xid)
)
"""


async def vacuum(url: str) -> None:
    """Have the server write the table of keys anew, once nobody sees what was erased before this call."""
    try:
        connection = await connect(url, _NOT_WAITING, answer_s=VACUUM_S)
        try:
            why = "" if await _older_ended(connection) else "a transaction that is older is still open"
            await connection.execute(VACUUM)
        finally:
            await connection.close()
    except FAILURES as error:
        why = str(error)
    if why:
        log.warning(
            "somebody was erased, but the keys may still stand in unused room of their table (%s):"
            " when that is over, run by hand %s",
            why,
            VACUUM,
        )


async def _older_ended(connection: Connection) -> bool:
    now = await connection.fetchval(_NOW)
    until_s = asyncio.get_running_loop().time() + OLDER_END_S
    while await connection.fetchval(_OLDER, now):
        if asyncio.get_running_loop().time() > until_s:
            return False
        await asyncio.sleep(ASK_AGAIN_S)
    return True
