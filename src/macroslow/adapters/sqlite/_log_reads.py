"""What readers ask of the log. Every function reads one snapshot."""

import sqlite3
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from typing import Final

from macroslow.adapters.sqlite._held import SIZE, held, held_entry, shown, spans, types_json
from macroslow.adapters.sqlite._log import PARTS_OF_ENTRY
from macroslow.adapters.sqlite._subjects import Keys, Unwrap
from macroslow.adapters.sqlite._tiles import tile_reader
from macroslow.errors import DecryptionFailedError, VerificationError
from macroslow.tlog.event import CLASSES, EventClass
from macroslow.tlog.leaf import LeafFacts, erased_by, open_part, open_payload, parse_leaf
from macroslow.tlog.ports import Entry, HeldEntry, OpenedPart, StoreAnchor
from macroslow.tlog.tree import HASH_BYTES, TILE_WIDTH, Edge, consistency_proof, inclusion_proof
from macroslow.workflow.books import MAX_LOOKED_AT, Found, LoggedEvent, Wanted

_ENTRIES: Final = """
SELECT e.n, e.leaf, e.payload, s.name FROM entries e JOIN names s ON s.n = e.subject
WHERE e.n >= ? ORDER BY e.n LIMIT ?
"""
_WANTED: Final = """
SELECT e.n, e.leaf, e.payload, s.name FROM entries e JOIN names s ON s.n = e.subject
WHERE e.n >= :start AND e.n < :end AND (
    :subject IS NULL OR s.name = :subject
    OR substr(e.leaf, 1, 4) = x'4d534c32' AND EXISTS (
        SELECT 1 FROM parts p WHERE p.n >= e.n * 256 AND p.n < e.n * 256 + 256
        AND p.subject = (SELECT n FROM names WHERE name = :subject)
    )
)
AND (:types IS NULL OR hex(substr(e.leaf, 13, 2)) IN (SELECT value FROM json_each(:types)))
AND substr(e.leaf, 5, 8) >= :from AND substr(e.leaf, 5, 8) < :until
ORDER BY e.n LIMIT :limit
"""
_CLASSES: Final = {int(number): kind for number, kind in CLASSES.items()}
_PARTS: Final = """
SELECT p.n, s.name, p.sealed FROM parts p JOIN names s ON s.n = p.subject
WHERE p.n >= ? AND p.n < ? AND p.subject > 0 ORDER BY p.n
"""


def checkpoint(connection: sqlite3.Connection) -> tuple[int, bytes] | None:
    """Return size and note of the newest checkpoint."""
    row = connection.execute("SELECT size, note FROM checkpoints ORDER BY size DESC LIMIT 1").fetchone()
    return None if row is None else (row[0], row[1])


def anchor(connection: sqlite3.Connection, index: int) -> StoreAnchor | None:
    """Return the oldest anchor whose tree holds entry `index`."""
    if index < 0:
        return None
    query = "SELECT size, note, token FROM anchors WHERE size > ? ORDER BY size LIMIT 1"
    row = connection.execute(query, (index,)).fetchone()
    return None if row is None else StoreAnchor(*row)


def newest_anchor(connection: sqlite3.Connection) -> StoreAnchor | None:
    """Return the newest anchor."""
    row = connection.execute("SELECT size, note, token FROM anchors ORDER BY size DESC LIMIT 1").fetchone()
    return None if row is None else StoreAnchor(*row)


def entry(connection: sqlite3.Connection, unwrap: Unwrap, index: int) -> Entry | None:
    """Return the opened entry, or None. DecryptionFailedError if its subject was erased."""
    row = connection.execute(_ENTRIES, (index, 1)).fetchone()
    if row is None or row[0] != index:
        return None
    _, leaf, payload, subject = row
    facts, keys = parse_leaf(leaf), Keys(connection, unwrap)
    kind = _class(facts)
    key = keys.key(subject, kind)
    if key is None or erased_by(shown(payload)) is not None:
        raise DecryptionFailedError(f"entry {index} cannot be read: its subject was erased")
    event, salt = open_payload(leaf, payload, key)
    others = _parts(connection, keys, index, kind, payload, event) if facts.shared else ()
    return Entry(index, leaf, event, salt, others)


def entries(connection: sqlite3.Connection, unwrap: Unwrap, start: int, limit: int) -> list[LoggedEvent]:
    """Return up to `limit` entries from `start` on, opened where the subject's key is still there."""
    keys = Keys(connection, unwrap)
    return [
        _logged(connection, keys, *row) for row in connection.execute(_ENTRIES, (start, limit)).fetchall()
    ]


def find(connection: sqlite3.Connection, unwrap: Unwrap, wanted: Wanted, start: int, limit: int) -> Found:
    """Return up to `limit` of the entries that are wanted, from `start` on."""
    (size,) = connection.execute(SIZE).fetchone()
    keys, found, looked_at = Keys(connection, unwrap), list[LoggedEvent](), 0
    for first, end in _spans(connection, wanted.subject, start, size):
        looked_at += end - first
        if looked_at > MAX_LOOKED_AT:
            return Found(found, first)
        values = _values(wanted) | {"start": first, "end": end, "limit": limit - len(found)}
        rows = connection.execute(_WANTED, values).fetchall()
        found += [_logged(connection, keys, *row) for row in rows]
        if len(found) >= limit:
            after = found[-1].index + 1
            return Found(found, after if after < size else None)
    return Found(found, None)


def held_entries(
    connection: sqlite3.Connection, subject: str, classes: frozenset[EventClass], start: int, limit: int
) -> list[HeldEntry]:
    """Return up to `limit` entries of these classes in which something of the subject's was not erased."""
    return [held_entry(found) for found in islice(held(connection, subject, classes, start), limit)]


def leaves(connection: sqlite3.Connection, start: int, end: int) -> list[bytes]:
    """Return the leaves of [start, end), as far as there are any."""
    query = "SELECT leaf FROM entries WHERE n >= ? AND n < ? ORDER BY n"
    return [leaf for (leaf,) in connection.execute(query, (start, end))]


def stored(connection: sqlite3.Connection, start: int, end: int) -> list[tuple[bytes, bytes]]:
    """Return leaf and payload of each entry of [start, end), as far as there are any."""
    query = "SELECT leaf, payload FROM entries WHERE n >= ? AND n < ? ORDER BY n"
    return [(leaf, shown(payload)) for leaf, payload in connection.execute(query, (start, end))]


def stored_parts(connection: sqlite3.Connection, start: int, end: int) -> list[tuple[int, int, bytes]]:
    """Return index, position and sealed bytes of the parts of [start, end); erased entries have none."""
    rows = connection.execute(_PARTS, (start * PARTS_OF_ENTRY, end * PARTS_OF_ENTRY))
    return [(n // PARTS_OF_ENTRY, n % PARTS_OF_ENTRY, shown(sealed)) for n, _, sealed in rows]


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
    connection: sqlite3.Connection, keys: Keys, index: int, leaf: bytes, payload: bytes, subject: str
) -> LoggedEvent:
    facts = parse_leaf(leaf)
    kind, event = _class(facts), None
    others: tuple[bytes | None, ...] = ()
    erased = erased_by(shown(payload))
    if erased is None and (key := keys.key(subject, kind)) is not None:
        try:
            event, _ = open_payload(leaf, payload, key)
        except DecryptionFailedError:  # who was erased, and is somebody new since, has another key
            event = None
    if facts.shared and erased is None:
        parts = _parts(connection, keys, index, kind, payload, event)
        others = tuple([None if part is None else part.part for part in parts])
    return LoggedEvent(index, facts.time_ns, facts.type, subject, event, erased, others)


def _parts(
    connection: sqlite3.Connection,
    keys: Keys,
    index: int,
    kind: EventClass,
    payload: bytes,
    event: bytes | None,
) -> tuple[OpenedPart | None, ...]:
    """The parts of a shared event, as far as they open; none does if the event is not read."""
    first = index * PARTS_OF_ENTRY
    return tuple(
        [
            None if event is None else _part(keys.key(name, kind), event, payload, n - first, shown(sealed))
            for n, name, sealed in connection.execute(_PARTS, (first, first + PARTS_OF_ENTRY)).fetchall()
        ]
    )


def _part(key: bytes | None, event: bytes, payload: bytes, position: int, sealed: bytes) -> OpenedPart | None:
    if key is None or erased_by(sealed) is not None:
        return None
    with suppress(DecryptionFailedError):
        return open_part(event, payload, position, sealed, key)
    return None


def _class(facts: LeafFacts) -> EventClass:
    kind = _CLASSES.get(facts.type)
    if kind is None:
        raise VerificationError(f"the log entry has type {facts.type}, which there is not")
    return kind


def _spans(
    connection: sqlite3.Connection, subject: str | None, start: int, size: int
) -> Iterator[tuple[int, int]]:
    """The ranges where something of the subject's may be; anybody's is everywhere."""
    if subject is None:
        for first in range(start, size, TILE_WIDTH):
            yield first, min(first + TILE_WIDTH, size)
        return
    row = connection.execute("SELECT n FROM names WHERE name = ?", (subject,)).fetchone()
    if row is not None:
        yield from spans(connection, row[0], start)


def _values(wanted: Wanted) -> dict[str, object]:
    """What a query is given for what is wanted."""
    return {
        "subject": wanted.subject,
        "types": types_json(wanted.types) if wanted.types else None,
        "from": max(0, wanted.from_ns).to_bytes(8, "big"),
        "until": max(0, wanted.until_ns).to_bytes(8, "big"),
    }
