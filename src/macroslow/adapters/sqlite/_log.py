"""The log as the writer grows it: leaves and payloads in, completed tiles stored, the edge in memory."""

import sqlite3
import struct
from collections.abc import Sequence
from typing import Final

from macroslow.adapters.sqlite._names import Names
from macroslow.adapters.sqlite._stage import Stage
from macroslow.adapters.sqlite._statements import (
    DELETE_OLD_CHECKPOINTS,
    PUT_ANCHOR,
    PUT_CHECKPOINT,
    PUT_ENTRY,
    PUT_PART,
    PUT_SUBJECT_TILES,
    PUT_TILE,
)
from macroslow.adapters.sqlite._subjects import Subjects
from macroslow.adapters.sqlite._tiles import rebuild
from macroslow.crypto.rows import NONCE_BYTES
from macroslow.ports import Entropy
from macroslow.tlog.event import CLASSES, Event, EventClass, PersonFields
from macroslow.tlog.leaf import SALT_BYTES, SealedPart, leaf_hash, seal_event, seal_part
from macroslow.tlog.ports import Append, Entry, OpenedPart, StoreAnchor, StoreCheckpoint
from macroslow.tlog.tree import Edge

PARTS_OF_ENTRY: Final = 256
"""A part's number is its entry's times this, and its place."""
_POOLED_PAIRS: Final = 64
_PAIR: Final = struct.Struct(f"{SALT_BYTES}s{NONCE_BYTES}s")


class Log:
    """The tables of entries, their parts, tiles, checkpoints and anchors, for the writer.

    `edge` is that of the last commit. It is never changed, only replaced: other threads may read it.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        stage: Stage,
        names: Names,
        subjects: Subjects,
        entropy: Entropy,
    ) -> None:
        self._connection = connection
        self._stage = stage
        self._names = names
        self._subjects = subjects
        self._fresh = _Fresh(entropy)
        self._entries = stage.rows(PUT_ENTRY)
        self.edge: Edge
        self._edge_ahead: Edge
        self._size: int
        self.reload()

    @property
    def next_index(self) -> int:
        """The index that the next entry gets."""
        return self._size + len(self._entries)

    def append(self, change: Append) -> Entry:
        """Seal an event and give it the next index."""
        event = change.event
        kind = CLASSES[event.type]
        parts = self._sealed_parts(event, kind) if event.others else ()
        salt, nonce = self._fresh.pair()
        key = self._subjects.key(event.subject, kind)
        sealed = seal_event(event, key, salt=salt, nonce=nonce, parts=parts)
        index = self.next_index
        subject = self._names.number(event.subject)
        # For `bytes`, sqlite3 would look for an adapter, at each row.
        row = (index, bytearray(sealed.leaf), bytearray(sealed.payload), subject)
        self._stage.write(PUT_ENTRY, row)
        others = self._put_parts(index, parts) if parts else ()
        return Entry(index, sealed.leaf, sealed.canonical, sealed.salt, others)

    def store_checkpoint(self, change: StoreCheckpoint) -> None:
        """Keep the note unless a newer one is kept; ValueError for a size that was never committed."""
        self._require_size(change.size)
        self._stage.write(PUT_CHECKPOINT, (change.size, change.note))
        self._stage.write(DELETE_OLD_CHECKPOINTS, ())

    def store_anchor(self, change: StoreAnchor) -> None:
        """Keep a dated checkpoint; ValueError for a size that was never committed."""
        self._require_size(change.size)
        self._stage.write(PUT_ANCHOR, (change.size, change.note, change.token))

    def flush(self) -> None:
        """Grow a copy of the edge by the batch's entries; have the tiles written that they complete."""
        self._edge_ahead = self.edge.copy()
        tiles = self._stage.rows(PUT_TILE)
        for _, leaf, _, _ in self._entries:
            for tile in self._edge_ahead.append(leaf_hash(leaf)):
                tiles.append((tile.level, tile.index, tile.data, tile.root))
                if tile.level == 0:
                    self._stage.rows(PUT_SUBJECT_TILES).append((tile.index,))

    def committed(self) -> None:
        self.edge = self._edge_ahead
        self._size = self.edge.size

    def reload(self) -> None:
        self.edge = self._edge_ahead = rebuild(self._connection)
        self._size = self.edge.size

    def _require_size(self, size: int) -> None:
        if not 0 <= size <= self._size:
            raise ValueError(f"a checkpoint of size {size} for a log of {self._size} entries")

    def _put_parts(self, index: int, parts: Sequence[SealedPart]) -> tuple[OpenedPart, ...]:
        for number, part in enumerate(parts, index * PARTS_OF_ENTRY):
            self._stage.write(PUT_PART, (number, self._names.number(part.subject), part.sealed))
        return tuple(part.opened for part in parts)

    def _sealed_parts(self, event: Event, kind: EventClass) -> Sequence[SealedPart]:
        return [self._sealed_part(part, kind) for part in sorted(event.others, key=_name)]

    def _sealed_part(self, part: PersonFields, kind: EventClass) -> SealedPart:
        salt, nonce = self._fresh.pair()
        return seal_part(part, self._subjects.key(part.subject, kind), salt=salt, nonce=nonce)


def _name(part: PersonFields) -> str:
    return part.subject


class _Fresh:
    """Salts and nonces, each for one use. The generator is asked once for many."""

    def __init__(self, entropy: Entropy) -> None:
        self._entropy = entropy
        self._pairs: list[tuple[bytes, bytes]] = []

    def pair(self) -> tuple[bytes, bytes]:
        """A salt and a nonce that were never given before."""
        if not self._pairs:
            self._pairs.extend(_PAIR.iter_unpack(self._entropy.random(_POOLED_PAIRS * _PAIR.size)))
        return self._pairs.pop()
