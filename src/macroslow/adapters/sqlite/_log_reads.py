"""What readers ask of the log. Every function reads one snapshot."""

import sqlite3
from collections.abc import Callable
from typing import Final

from macroslow.adapters.sqlite._tiles import tile_reader
from macroslow.errors import DecryptionFailedError
from macroslow.tlog.leaf import open_payload, parse_leaf
from macroslow.tlog.ports import Entry
from macroslow.tlog.tree import HASH_BYTES, Edge, consistency_proof, inclusion_proof
from macroslow.workflow.books import LoggedEvent

Unwrap = Callable[[str, bytes], bytes]
"""Subject and wrapped key -> the subject's key."""

_ENTRIES: Final = """
SELECT e.n, e.leaf, e.payload, s.name, k.wrapped
FROM entries e JOIN names s ON s.n = e.subject LEFT JOIN subject_keys k ON k.subject = e.subject
WHERE e.n >= ? ORDER BY e.n LIMIT ?
"""


def checkpoint(connection: sqlite3.Connection) -> tuple[int, bytes] | None:
    """Return size and note of the newest checkpoint."""
    row = connection.execute("SELECT size, note FROM checkpoints ORDER BY size DESC LIMIT 1").fetchone()
    return None if row is None else (row[0], row[1])


def entry(connection: sqlite3.Connection, unwrap: Unwrap, index: int) -> Entry | None:
    """Return the opened entry, or None. DecryptionFailedError if its subject was erased."""
    row = connection.execute(_ENTRIES, (index, 1)).fetchone()
    if row is None or row[0] != index:
        return None
    _, leaf, payload, subject, wrapped = row
    if wrapped is None:
        raise DecryptionFailedError(f"entry {index} cannot be read: its subject was erased")
    event, salt = open_payload(leaf, payload, unwrap(subject, wrapped))
    return Entry(index, leaf, event, salt)


def entries(connection: sqlite3.Connection, unwrap: Unwrap, start: int, limit: int) -> list[LoggedEvent]:
    """Return up to `limit` entries from `start` on, opened where the subject's key is still there."""
    rows = connection.execute(_ENTRIES, (start, limit)).fetchall()
    return [_logged(unwrap, *row) for row in rows]


def leaves(connection: sqlite3.Connection, start: int, end: int) -> list[bytes]:
    """Return the leaves of [start, end), as far as there are any."""
    query = "SELECT leaf FROM entries WHERE n >= ? AND n < ? ORDER BY n"
    return [leaf for (leaf,) in connection.execute(query, (start, end))]


def stored(connection: sqlite3.Connection, start: int, end: int) -> list[tuple[bytes, bytes]]:
    """Return leaf and payload of each entry of [start, end), as far as there are any."""
    query = "SELECT leaf, payload FROM entries WHERE n >= ? AND n < ? ORDER BY n"
    return [(leaf, payload) for leaf, payload in connection.execute(query, (start, end))]


def tile(connection: sqlite3.Connection, edge: Edge, level: int, index: int, width: int) -> bytes | None:
    """Return the first `width` hashes of a tile, or None if there are not so many."""
    hashes = tile_reader(connection, edge)(level, index, width)
    return hashes if len(hashes) == width * HASH_BYTES else None


def inclusion(connection: sqlite3.Connection, edge: Edge, index: int, size: int) -> list[bytes]:
    """Return the proof that entry `index` is in the tree of `size`; ValueError if there is none."""
    _require_size(edge, size)
    return inclusion_proof(index, size, tile_reader(connection, edge))


def consistency(connection: sqlite3.Connection, edge: Edge, first: int, second: int) -> list[bytes]:
    """Return the proof that the tree of `second` extends that of `first`; ValueError if there is none."""
    _require_size(edge, second)
    return consistency_proof(first, second, tile_reader(connection, edge))


def _require_size(edge: Edge, size: int) -> None:
    committed = edge.size
    if size > committed:
        raise ValueError(f"no tree of {size} entries: the log has {committed}")


def _logged(
    unwrap: Unwrap, index: int, leaf: bytes, payload: bytes, subject: str, wrapped: bytes | None
) -> LoggedEvent:
    facts = parse_leaf(leaf)
    event = None
    if wrapped is not None:
        event, _ = open_payload(leaf, payload, unwrap(subject, wrapped))
    return LoggedEvent(index, facts.time_ns, facts.type, subject, event)
