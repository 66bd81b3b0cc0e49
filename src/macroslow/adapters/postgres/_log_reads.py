"""What readers ask of the log. Every function reads one snapshot."""

from typing import Final

from macroslow.adapters.postgres._link import Connection
from macroslow.adapters.postgres._subjects import SubjectKeys
from macroslow.errors import DecryptionFailedError
from macroslow.tlog.leaf import open_payload, parse_leaf
from macroslow.tlog.ports import Entry
from macroslow.workflow.books import LoggedEvent

_ENTRIES: Final = """
SELECT e.n, e.leaf, e.payload, s.name, k.wrapped
FROM entries e JOIN names s ON s.n = e.subject LEFT JOIN subject_keys k ON k.subject = e.subject
WHERE e.n >= $1 AND e.n < $2 ORDER BY e.n
"""
_STORED: Final = "SELECT leaf, payload FROM entries WHERE n >= $1 AND n < $2 ORDER BY n"


async def checkpoint(connection: Connection) -> tuple[int, bytes] | None:
    """Return size and note of the newest checkpoint."""
    row = await connection.fetchrow("SELECT size, note FROM checkpoints")
    return None if row is None else (row[0], row[1])


async def entry(connection: Connection, subjects: SubjectKeys, index: int) -> Entry | None:
    """Return the opened entry, or None. DecryptionFailedError if its subject was erased."""
    row = await connection.fetchrow(_ENTRIES, index, index + 1)
    if row is None:
        return None
    _, leaf, payload, subject, wrapped = row
    if wrapped is None:
        raise DecryptionFailedError(f"entry {index} cannot be read: its subject was erased")
    event, salt = open_payload(leaf, payload, subjects.unwrap(subject, wrapped))
    return Entry(index, leaf, event, salt)


async def entries(connection: Connection, subjects: SubjectKeys, start: int, limit: int) -> list[LoggedEvent]:
    """Return up to `limit` entries from `start` on, opened where the subject's key is still there."""
    rows = await connection.fetch(_ENTRIES, start, start + limit)
    return [_logged(subjects, *row) for row in rows]


async def stored(connection: Connection, start: int, end: int) -> list[tuple[bytes, bytes]]:
    """Return leaf and payload of each entry of [start, end), as far as there are any."""
    return [(leaf, payload) for leaf, payload in await connection.fetch(_STORED, start, end)]


async def leaves(connection: Connection, start: int, end: int) -> list[bytes]:
    """Return the leaves of [start, end), as far as there are any."""
    query = "SELECT leaf FROM entries WHERE n >= $1 AND n < $2 ORDER BY n"
    return [leaf for (leaf,) in await connection.fetch(query, start, end)]


def _logged(
    subjects: SubjectKeys, index: int, leaf: bytes, payload: bytes, subject: str, wrapped: bytes | None
) -> LoggedEvent:
    facts = parse_leaf(leaf)
    event = None
    if wrapped is not None:
        event, _ = open_payload(leaf, payload, subjects.unwrap(subject, wrapped))
    return LoggedEvent(index, facts.time_ns, facts.type, subject, event)
