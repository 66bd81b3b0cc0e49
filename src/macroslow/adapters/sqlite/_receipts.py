"""Kept receipts, as the writer changes them: which entry proves the answer to a request."""

import sqlite3
from typing import Final

from macroslow.adapters.sqlite._names import Names
from macroslow.adapters.sqlite._stage import OF_BATCH, Cache, Stage
from macroslow.adapters.sqlite._statements import DELETE_EXPIRED_RECEIPTS, PUT_ENTRY, PUT_RECEIPT
from macroslow.errors import ConflictError
from macroslow.tlog.leaf import parse_leaf
from macroslow.tlog.ports import KeepReceipt, Kept

KEPT: Final = """
SELECT p.name, k.entry, k.expires_ns FROM kept_receipts k JOIN names p ON p.n = k.principal
WHERE k.request = ?
"""


class Receipts:
    """The `kept_receipts` table, for the writer. It remembers nothing beyond a batch.

    Each kept receipt has two of those deleted that expired longest ago: the table shrinks as it is used,
    and no commit deletes many.
    """

    def __init__(self, connection: sqlite3.Connection, stage: Stage, names: Names) -> None:
        self._connection = connection
        self._stage = stage
        self._names = names
        self._kept = Cache[str, Kept](stage, OF_BATCH)

    def keep(self, change: KeepReceipt) -> None:
        """Keep it for the newest entry, which is one of the same list."""
        index, leaf, _, _ = self._stage.rows(PUT_ENTRY)[-1]
        now_ns = parse_leaf(leaf).time_ns
        known = self._kept.get(change.request_id) or kept(self._connection, change.request_id)
        if known is not None and known.principal != change.principal and known.expires_ns > now_ns:
            raise ConflictError(f"the receipt of request {change.request_id} is somebody else's")
        principal = self._names.number(change.principal)
        self._kept.put(change.request_id, Kept(change.principal, index, change.expires_ns))
        self._stage.write(DELETE_EXPIRED_RECEIPTS, (now_ns,))
        self._stage.write(PUT_RECEIPT, (change.request_id, principal, index, change.expires_ns))

    def reload(self) -> None:
        self._kept.clear()


def kept(connection: sqlite3.Connection, request_id: str) -> Kept | None:
    """Return what was kept of a request, or None."""
    row = connection.execute(KEPT, (request_id,)).fetchone()
    return None if row is None else Kept(*row)
