"""What of a subject's is sealed in the log, found without reading the log through.

`subject_tiles` names the complete tiles in which there is something of the subject's; the entries behind the
last complete tile are looked at one by one.
"""

import json
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from macroslow.tlog.event import CLASSES, EventClass
from macroslow.tlog.leaf import ERASED_BYTES, parse_leaf
from macroslow.tlog.ports import HeldEntry
from macroslow.tlog.tree import TILE_WIDTH

WHOLE: Final = (0,)
_TILES: Final = "SELECT tile FROM subject_tiles WHERE subject = ? AND tile BETWEEN ? AND ? ORDER BY tile"
SIZE: Final = "SELECT coalesce(max(n) + 1, 0) FROM entries"
HELD: Final = """
SELECT e.n, e.leaf, length(e.payload), e.subject = :subject AND substr(e.payload, 9, 8) <> zeroblob(8),
    (
        SELECT group_concat(p.n % 256 + 1) FROM parts p WHERE p.n >= e.n * 256 AND p.n < e.n * 256 + 256
        AND p.subject = :subject AND substr(p.sealed, 9, 8) <> zeroblob(8)
    )
FROM entries e
WHERE e.n >= :start AND e.n < :end AND (
    e.subject = :subject AND substr(e.payload, 9, 8) <> zeroblob(8)
    OR substr(e.leaf, 1, 4) = x'4d534c32' AND EXISTS (
        SELECT 1 FROM parts p WHERE p.n >= e.n * 256 AND p.n < e.n * 256 + 256
        AND p.subject = :subject AND substr(p.sealed, 9, 8) <> zeroblob(8)
    )
) AND hex(substr(e.leaf, 13, 2)) IN (SELECT value FROM json_each(:types))
ORDER BY e.n
"""


@dataclass(frozen=True, slots=True)
class Held:
    """An entry in which something of the subject's is; `places` as in `HeldEntry`."""

    index: int
    leaf: bytes
    payload_bytes: int
    places: tuple[int, ...]

    @property
    def whole(self) -> bool:
        """Whether all of it is the subject's."""
        return self.places == WHOLE


def held(
    connection: sqlite3.Connection, subject: str, classes: Iterable[EventClass], start: int = 0
) -> Iterator[Held]:
    """Yield what of the subject's was not erased, in entries of these classes, ascending from `start`."""
    row = connection.execute("SELECT n FROM names WHERE name = ?", (subject,)).fetchone()
    if row is None:
        return
    types = types_json(number for number, kind in CLASSES.items() if kind in set(classes))
    for first, end in spans(connection, row[0], start):
        values = {"subject": row[0], "start": first, "end": end, "types": types}
        for index, leaf, payload_bytes, whole, parts in connection.execute(HELD, values).fetchall():
            yield Held(
                index, leaf, payload_bytes, WHOLE if whole else tuple(sorted(map(int, parts.split(","))))
            )


def held_entry(found: Held) -> HeldEntry:
    """Return what it shows."""
    facts = parse_leaf(found.leaf)
    return HeldEntry(found.index, facts.type, facts.time_ns, found.places)


def spans(connection: sqlite3.Connection, subject: int, start: int) -> Iterator[tuple[int, int]]:
    """Yield the ranges of at most a tile, ascending from `start`, where something of the subject's may be."""
    (size,) = connection.execute(SIZE).fetchone()
    tail = size // TILE_WIDTH
    for (tile,) in connection.execute(_TILES, (subject, start // TILE_WIDTH, tail - 1)).fetchall():
        yield max(start, tile * TILE_WIDTH), (tile + 1) * TILE_WIDTH
    if start < size:
        yield max(start, tail * TILE_WIDTH), size


def newest_tiles(connection: sqlite3.Connection, subject: str, count: int) -> int:
    """Return the index from which on lie the newest `count` tiles in which something of the subject's is."""
    query = "SELECT tile FROM subject_tiles WHERE subject = (SELECT n FROM names WHERE name = ?)"
    row = connection.execute(f"{query} ORDER BY tile DESC LIMIT 1 OFFSET ?", (subject, count - 1)).fetchone()
    return 0 if row is None else row[0] * TILE_WIDTH


def types_json(types: Iterable[int]) -> str:
    """Return types as a JSON list of what a leaf shows of them in hexadecimal."""
    return json.dumps([f"{number:04X}" for number in types])


def shown(stored: bytes) -> bytes:
    """Return a payload or part as the port has it: what was erased is kept at its length, in zeros.

    Behind the marker there must be nothing else: ciphertext that was left there is no erasure.
    """
    zeros = bytes(len(stored) - ERASED_BYTES) if len(stored) > ERASED_BYTES else b""
    return stored[:ERASED_BYTES] if zeros and stored.endswith(zeros) else stored
