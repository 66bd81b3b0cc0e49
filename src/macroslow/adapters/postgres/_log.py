"""The log as a batch grows it: leaves and payloads in, and the tiles that they complete."""

from itertools import zip_longest

from macroslow.adapters.postgres._state import CHECKPOINT, EntryRow, Tables
from macroslow.adapters.postgres._subjects import SubjectKeys
from macroslow.crypto.rows import NONCE_BYTES
from macroslow.ports import Entropy
from macroslow.tlog.leaf import SALT_BYTES, leaf_hash, seal_event
from macroslow.tlog.ports import Append, Entry, StoreCheckpoint
from macroslow.tlog.tree import HASH_BYTES, Edge

TileRow = tuple[int, int, bytes, bytes]
"""Level, number, hashes, root."""


class Log:
    """The `entries`, `tiles` and `checkpoints` of one batch."""

    def __init__(self, state: Tables, subjects: SubjectKeys, entropy: Entropy) -> None:
        self._state = state
        self._subjects = subjects
        self._entropy = entropy

    def append(self, change: Append) -> Entry:
        """Seal an event and give it the next index."""
        state, event = self._state, change.event
        fresh = self._entropy.random(SALT_BYTES + NONCE_BYTES)
        subject = state.number(event.subject)
        key = self._subjects.key(state, event.subject)
        sealed = seal_event(event, key, salt=fresh[:SALT_BYTES], nonce=fresh[SALT_BYTES:])
        index = state.next_index
        state.entries.put(index, EntryRow(sealed.leaf, sealed.payload, subject))
        return Entry(index, sealed.leaf, sealed.canonical, sealed.salt)

    def store_checkpoint(self, change: StoreCheckpoint) -> None:
        """Keep the note unless a newer one is kept; ValueError for a size that was never committed."""
        if not 0 <= change.size <= self._state.size:
            raise ValueError(f"a checkpoint of size {change.size} for a log of {self._state.size} entries")
        known = self._state.checkpoint.get(CHECKPOINT)
        if known is None or known[0] <= change.size:
            self._state.checkpoint.put(CHECKPOINT, (change.size, change.note))


def grown(state: Tables) -> tuple[Edge, list[TileRow]]:
    """Return the edge of the log with the batch's entries, and the tiles that they complete."""
    edge = state.edge.copy()
    tiles: list[TileRow] = []
    for _, entry in state.entries.written():
        completed = edge.append(leaf_hash(entry.leaf))
        for tile, above in zip_longest(completed, completed[1:]):
            # A tile's root is the newest hash one level up, where it may have completed a tile too.
            hashes = above.data if above else edge.partial_tile(tile.level + 1)
            tiles.append((tile.level, tile.index, tile.data, hashes[-HASH_BYTES:]))
    return edge, tiles
