"""The log as the writer grows it: leaves and payloads in, completed tiles stored, the edge in memory."""

import sqlite3
from dataclasses import dataclass
from typing import Final

from macroslow.adapters.sqlite._names import Names
from macroslow.adapters.sqlite._subjects import Subjects
from macroslow.adapters.sqlite._tiles import rebuild
from macroslow.crypto.rows import NONCE_BYTES
from macroslow.ports import Entropy
from macroslow.tlog.leaf import SALT_BYTES, leaf_hash, seal_event
from macroslow.tlog.ports import Append, Entry, StoreCheckpoint
from macroslow.tlog.tree import Edge

_PUT_ENTRY: Final = "INSERT INTO entries (n, leaf, payload, subject) VALUES (?, ?, ?, ?)"
_PUT_TILE: Final = "INSERT INTO tiles (level, number, hashes) VALUES (?, ?, ?)"
_PUT_CHECKPOINT: Final = "INSERT OR REPLACE INTO checkpoints (size, note) VALUES (?, ?)"


@dataclass(frozen=True, slots=True)
class _Row:
    index: int
    leaf: bytes
    payload: bytes
    subject: int


class Log:
    """Entries wait in memory until the batch is written, so that a refused list leaves no trace.

    `edge` is that of the last commit. It is never changed, only replaced: other threads may read it.
    """

    def __init__(
        self, connection: sqlite3.Connection, names: Names, subjects: Subjects, entropy: Entropy
    ) -> None:
        self._connection = connection
        self._names = names
        self._subjects = subjects
        self._entropy = entropy
        self._rows: list[_Row] = []
        self._rows_kept = 0
        self.edge: Edge
        self._edge_ahead: Edge
        self._size: int
        self.reload()

    @property
    def next_index(self) -> int:
        """The index that the next entry gets."""
        return self._size + len(self._rows)

    def append(self, change: Append) -> Entry:
        """Seal an event and give it the next index."""
        event = change.event
        fresh = self._entropy.random(SALT_BYTES + NONCE_BYTES)
        key = self._subjects.key(event.subject)
        sealed = seal_event(event, key, salt=fresh[:SALT_BYTES], nonce=fresh[SALT_BYTES:])
        index = self.next_index
        self._rows.append(_Row(index, sealed.leaf, sealed.payload, self._names.number(event.subject)))
        return Entry(index, sealed.leaf, sealed.canonical, sealed.salt)

    def store_checkpoint(self, change: StoreCheckpoint) -> None:
        """Keep the note unless a newer one is kept; ValueError for a size that was never committed."""
        if not 0 <= change.size <= self._size:
            raise ValueError(f"a checkpoint of size {change.size} for a log of {self._size} entries")
        self._connection.execute(_PUT_CHECKPOINT, (change.size, change.note))
        self._connection.execute("DELETE FROM checkpoints WHERE size < (SELECT max(size) FROM checkpoints)")

    def keep(self) -> None:
        self._rows_kept = len(self._rows)

    def drop(self) -> None:
        del self._rows[self._rows_kept :]

    def flush(self) -> None:
        """Write the batch's entries and the tiles that they complete."""
        self._edge_ahead = edge = self.edge.copy()
        rows = [(row.index, row.leaf, row.payload, row.subject) for row in self._rows]
        self._connection.executemany(_PUT_ENTRY, rows)
        for row in self._rows:
            for tile in edge.append(leaf_hash(row.leaf)):
                self._connection.execute(_PUT_TILE, (tile.level, tile.index, tile.data))

    def committed(self) -> None:
        self.edge = self._edge_ahead
        self._size += len(self._rows)
        self._clear()

    def forget(self) -> None:
        """Drop the batch: the edge of the last commit still stands."""
        self._clear()

    def reload(self) -> None:
        """Read the edge from the store: at start, or after another process wrote."""
        self._clear()
        self.edge = self._edge_ahead = rebuild(self._connection)
        self._size = self.edge.head().size

    def _clear(self) -> None:
        self._rows.clear()
        self._rows_kept = 0
