"""What readers ask about replies and bound ids. Every function reads one snapshot."""

import sqlite3
from typing import Final

from macroslow.adapters.sqlite._subjects import Keys, Unwrap
from macroslow.errors import DecryptionFailedError
from macroslow.tlog.event import EventClass
from macroslow.workflow.replies import BindId, Reply, open_reply

_REPLY: Final = """
SELECT r.request_sha256, r.created_ns, r.expires_ns, r.sealed FROM replies r
WHERE r.principal = (SELECT n FROM names WHERE name = ?) AND r.key = ?
"""
_BOUND_ID: Final = """
SELECT b.id, k.name, p.name, v.name, a.name, b.created_ns, b.tokens
FROM bound_ids b JOIN names k ON k.n = b.kind JOIN names p ON p.n = b.principal
    JOIN names v ON v.n = b.provider JOIN names a ON a.n = b.account
WHERE b.id = ?
"""


def reply(connection: sqlite3.Connection, unwrap: Unwrap, principal: str, key: str) -> Reply | None:
    """Return what is known of the key, or None. DecryptionFailedError if its principal was erased."""
    row = connection.execute(_REPLY, (principal, key)).fetchone()
    if row is None:
        return None
    *claim, sealed = row
    claimed = Reply(*claim)
    if sealed is None:
        return claimed
    sealing = Keys(connection, unwrap).key(principal, EventClass.ACTIVITY)
    if sealing is None:
        raise DecryptionFailedError("a stored answer cannot be read: its principal was erased")
    return open_reply(claimed, sealed, sealing, principal, key)


def bound_id(connection: sqlite3.Connection, wanted: str) -> BindId | None:
    """Return whose id it is, or None."""
    row = connection.execute(_BOUND_ID, (wanted,)).fetchone()
    return None if row is None else BindId(*row)
