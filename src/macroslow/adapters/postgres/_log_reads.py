"""What readers ask of the log. Every function reads one snapshot, unless it says otherwise."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from macroslow.adapters.postgres._link import Connection, Row
from macroslow.adapters.postgres._subjects import SubjectKeys
from macroslow.adapters.postgres._tables import TYPE, TYPES
from macroslow.errors import DecryptionFailedError
from macroslow.tlog.event import CLASSES, EventClass, EventType
from macroslow.tlog.leaf import erased_by, open_part, open_payload, parse_leaf
from macroslow.tlog.ports import Entry, HeldEntry, Kept, OpenedPart, StoreAnchor
from macroslow.workflow.books import MAX_LOOKED_AT, Found, LoggedEvent, Wanted

_ENTRIES: Final = f"""
SELECT e.n, e.leaf, e.payload, s.name, k.wrapped, ARRAY(
    SELECT x FROM (
        SELECT i.name, p.sealed, q.wrapped FROM parts p JOIN names i ON i.n = p.subject
            LEFT JOIN macroslow_subjects.keys q ON q.subject = i.name AND q.class = types.class
        WHERE p.entry = e.n ORDER BY p.position
    ) x
)
FROM entries e JOIN names s ON s.n = e.subject LEFT JOIN {TYPES} ON types.type = {TYPE}
    LEFT JOIN macroslow_subjects.keys k ON k.subject = s.name AND k.class = types.class
WHERE e.n >= $1 AND e.n < $2
"""  # noqa: S608
_RANGE: Final = f"{_ENTRIES} ORDER BY e.n"
_FIND: Final = f"""
{_ENTRIES} AND ($3::text IS NULL OR s.name = $3 OR EXISTS (
        SELECT FROM parts p JOIN names i ON i.n = p.subject WHERE p.entry = e.n AND i.name = $3
    )) AND (cardinality($4::bytea[]) = 0 OR {TYPE} = ANY($4::bytea[]))
    AND substring(e.leaf FROM 5 FOR 8) >= $5 AND substring(e.leaf FROM 5 FOR 8) < $6
ORDER BY e.n LIMIT $7
"""  # noqa: S608
_HELD: Final = f"""
(
    SELECT e.n, e.leaf, ARRAY[0] AS places FROM entries e
    WHERE e.subject = (SELECT n FROM names WHERE name = $1) AND length(e.payload) > 8
        AND e.n >= $2 AND {TYPE} = ANY($3::bytea[]) ORDER BY e.n LIMIT $4
) UNION ALL (
    SELECT e.n, e.leaf, array_agg(p.position + 1 ORDER BY p.position)
    FROM parts p JOIN entries e ON e.n = p.entry
    WHERE p.subject = (SELECT n FROM names WHERE name = $1) AND length(p.sealed) > 8
        AND e.n >= $2 AND {TYPE} = ANY($3::bytea[]) AND e.subject <> p.subject
    GROUP BY e.n ORDER BY e.n LIMIT $4
) ORDER BY n LIMIT $4
"""  # noqa: S608
_STORED: Final = "SELECT leaf, payload FROM entries WHERE n >= $1 AND n < $2 ORDER BY n"
_PARTS: Final = """
SELECT entry, position, sealed FROM parts WHERE entry >= $1 AND entry < $2 ORDER BY entry, position
"""
_ANCHOR: Final = "SELECT size, note, token FROM anchors WHERE size > $1 AND $1 >= 0 ORDER BY size LIMIT 1"
_NEWEST_ANCHOR: Final = "SELECT size, note, token FROM anchors ORDER BY size DESC LIMIT 1"
_KEPT: Final = """
SELECT p.name, r.entry, r.expires_ns FROM receipts r JOIN names p ON p.n = r.principal WHERE r.request = $1
"""
_LATEST_TIME_NS: Final = 2**64 - 1


async def checkpoint(connection: Connection) -> tuple[int, bytes] | None:
    """Return size and note of the newest checkpoint."""
    row = await connection.fetchrow("SELECT size, note FROM checkpoints")
    return None if row is None else (row[0], row[1])


async def anchor(connection: Connection, index: int) -> StoreAnchor | None:
    """Return the oldest anchor whose tree holds entry `index`."""
    row = await connection.fetchrow(_ANCHOR, index)
    return None if row is None else StoreAnchor(*row)


async def newest_anchor(connection: Connection) -> StoreAnchor | None:
    """Return the newest anchor."""
    row = await connection.fetchrow(_NEWEST_ANCHOR)
    return None if row is None else StoreAnchor(*row)


async def kept_receipt(connection: Connection, request_id: str) -> Kept | None:
    """Return what was kept of a request."""
    row = await connection.fetchrow(_KEPT, request_id)
    return None if row is None else Kept(*row)


async def entry(connection: Connection, subjects: SubjectKeys, index: int) -> Entry | None:
    """Return the opened entry, or None. DecryptionFailedError if its subject was erased."""
    row = await connection.fetchrow(_RANGE, index, index + 1)
    if row is None:
        return None
    _, leaf, payload, subject, wrapped, parts = row
    if wrapped is None or erased_by(payload) is not None:
        raise DecryptionFailedError(f"entry {index} cannot be read: its subject was erased")
    event, salt = open_payload(leaf, payload, subjects.unwrap(subject, wrapped))
    return Entry(index, leaf, event, salt, _parts(subjects, event, payload, parts))


async def entries(connection: Connection, subjects: SubjectKeys, start: int, limit: int) -> list[LoggedEvent]:
    """Return up to `limit` entries from `start` on, opened where the subject's key is still there."""
    rows = await connection.fetch(_RANGE, start, start + limit)
    return [_logged(subjects, *row) for row in rows]


async def find(
    connection: Connection, subjects: SubjectKeys, wanted: Wanted, start: int, limit: int
) -> Found:
    """Return up to `limit` wanted entries of those that were there when the size was asked for."""
    size: int = await connection.fetchval("SELECT size FROM store")
    end = min(size, start + MAX_LOOKED_AT)
    rows = await connection.fetch(
        _FIND,
        start,
        end,
        wanted.subject,
        [kind.to_bytes(2, "big") for kind in wanted.types],
        _time(wanted.from_ns),
        _time(wanted.until_ns),
        limit,
    )
    found = [_logged(subjects, *row) for row in rows]
    if len(found) == limit and found[-1].index + 1 < end:
        end = found[-1].index + 1
    return Found(found, end if end < size else None)


async def held_entries(
    connection: Connection, subject: str, classes: frozenset[EventClass], start: int, limit: int
) -> list[HeldEntry]:
    """Return up to `limit` entries from `start` on in which something of the subject's is sealed."""
    types = [kind.to_bytes(2, "big") for kind in EventType if CLASSES[kind] in classes]
    rows = await connection.fetch(_HELD, subject, start, types, limit)
    facts = [(index, parse_leaf(leaf), places) for index, leaf, places in rows]
    return [HeldEntry(index, fact.type, fact.time_ns, tuple(places)) for index, fact, places in facts]


async def stored(connection: Connection, start: int, end: int) -> list[tuple[bytes, bytes]]:
    """Return leaf and payload of each entry of [start, end), as far as there are any."""
    return [(leaf, payload) for leaf, payload in await connection.fetch(_STORED, start, end)]


async def stored_parts(connection: Connection, start: int, end: int) -> list[tuple[int, int, bytes]]:
    """Return index, position and sealed part of the shared events of [start, end)."""
    rows = await connection.fetch(_PARTS, start, end)
    return [(index, position, sealed) for index, position, sealed in rows]


async def leaves(connection: Connection, start: int, end: int) -> list[bytes]:
    """Return the leaves of [start, end), as far as there are any."""
    query = "SELECT leaf FROM entries WHERE n >= $1 AND n < $2 ORDER BY n"
    return [leaf for (leaf,) in await connection.fetch(query, start, end)]


def _time(time_ns: int) -> bytes:
    """As the leaf has it: such bytes are ordered like their numbers."""
    return max(0, min(time_ns, _LATEST_TIME_NS)).to_bytes(8, "big")


def _logged(
    subjects: SubjectKeys,
    index: int,
    leaf: bytes,
    payload: bytes,
    subject: str,
    wrapped: bytes | None,
    parts: Sequence[Row],
) -> LoggedEvent:
    facts, gone = parse_leaf(leaf), erased_by(payload)
    told = LoggedEvent(index, facts.time_ns, facts.type, subject, None, gone)
    if gone is not None:
        return told
    unread = replace(told, others=(None,) * len(parts))
    if wrapped is None:
        return unread
    try:
        event, _ = open_payload(leaf, payload, subjects.unwrap(subject, wrapped))
    except DecryptionFailedError:  # by a key of one who was erased, and is somebody new since
        return unread
    opened = _parts(subjects, event, payload, parts)
    return replace(told, event=event, others=tuple(None if part is None else part.part for part in opened))


def _parts(
    subjects: SubjectKeys, event: bytes, payload: bytes, parts: Sequence[Row]
) -> tuple[OpenedPart | None, ...]:
    return tuple(_part(subjects, event, payload, at, *part) for at, part in enumerate(parts))


def _part(
    subjects: SubjectKeys,
    event: bytes,
    payload: bytes,
    at: int,
    subject: str,
    sealed: bytes,
    wrapped: bytes | None,
) -> OpenedPart | None:
    if wrapped is None or erased_by(sealed) is not None:
        return None
    try:
        return open_part(event, payload, at, sealed, subjects.unwrap(subject, wrapped))
    except DecryptionFailedError:  # as above
        return None
