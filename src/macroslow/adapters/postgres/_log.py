"""The log as a batch grows it: leaves and payloads in, and the tiles that they complete."""

from itertools import chain

from macroslow.adapters.postgres._state import CHECKPOINT, EntryRow, PartRow, Tables
from macroslow.adapters.postgres._subjects import SubjectKeys
from macroslow.crypto.rows import NONCE_BYTES
from macroslow.errors import ConflictError
from macroslow.ports import Entropy
from macroslow.tlog.event import CLASSES, EventClass, PersonFields
from macroslow.tlog.leaf import SALT_BYTES, SealedPart, leaf_hash, parse_leaf, seal_event, seal_part
from macroslow.tlog.ports import Append, Entry, KeepReceipt, Kept, StoreAnchor, StoreCheckpoint
from macroslow.tlog.tree import Edge

TileRow = tuple[int, int, bytes, bytes]
"""Level, number, hashes, root."""


class Log:
    """The `entries`, `parts`, `tiles`, `checkpoints`, `anchors` and `receipts` of one batch."""

    def __init__(self, state: Tables, subjects: SubjectKeys, entropy: Entropy) -> None:
        self._state = state
        self._subjects = subjects
        self._entropy = entropy
        self._first = state.next_index

    def begin(self) -> None:
        """Another list of changes begins."""
        self._first = self._state.next_index

    def append(self, change: Append) -> Entry:
        """Seal an event, and what it says about further persons, and give it the next index."""
        state, event = self._state, change.event
        kind = CLASSES[event.type]
        others = sorted(event.others, key=lambda other: other.subject)
        parts = [self._sealed(part, kind) for part in others]
        salt, nonce = self._fresh()
        key = self._subjects.key(state, event.subject, kind)
        sealed = seal_event(event, key, salt=salt, nonce=nonce, parts=parts)
        rows = tuple(PartRow(state.number(part.subject), part.sealed) for part in parts)
        index = state.next_index
        subject = state.number(event.subject)
        state.entries.put(index, EntryRow(sealed.leaf, sealed.payload, subject, rows))
        opened = tuple(part.opened for part in parts)
        return Entry(index, sealed.leaf, sealed.canonical, sealed.salt, opened)

    def store_checkpoint(self, change: StoreCheckpoint) -> None:
        """Keep the note unless a newer one is kept; ValueError for a size that was never committed."""
        self._require_size(change.size)
        known = self._state.checkpoint.get(CHECKPOINT)
        if known is None or known[0] <= change.size:
            self._state.checkpoint.put(CHECKPOINT, (change.size, change.note))

    def store_anchor(self, change: StoreAnchor) -> None:
        """Keep the first anchor of a size; ValueError for a size that was never committed."""
        self._require_size(change.size)
        if self._state.anchors.get(change.size) is None:
            self._state.anchors.put(change.size, change)

    def keep_receipt(self, change: KeepReceipt) -> None:
        """Remember which entry proves the answer to a request, and forget two others that are expired."""
        state, receipts = self._state, self._state.receipts
        index = state.next_index - 1
        row = state.entries.get(index)
        if row is None or index < self._first:
            raise ValueError("a receipt is kept of the entry before it, and there is none in its list")
        now_ns = parse_leaf(row.leaf).time_ns
        known = receipts.get(change.request_id)
        if known is not None and known.principal != change.principal and known.expires_ns > now_ns:
            raise ConflictError(f"the request {change.request_id} is another principal's")
        for name in state.expired_receipts:
            expired = receipts.get(name)
            if expired is not None and expired.expires_ns <= now_ns:
                receipts.put(name, None)
        state.number(change.principal)
        receipts.put(change.request_id, Kept(change.principal, index, change.expires_ns))

    def _require_size(self, size: int) -> None:
        if not 0 <= size <= self._state.size:
            raise ValueError(f"a checkpoint of size {size} for a log of {self._state.size} entries")

    def _sealed(self, part: PersonFields, kind: EventClass) -> SealedPart:
        salt, nonce = self._fresh()
        return seal_part(part, self._subjects.key(self._state, part.subject, kind), salt=salt, nonce=nonce)

    def _fresh(self) -> tuple[bytes, bytes]:
        fresh = self._entropy.random(SALT_BYTES + NONCE_BYTES)
        return fresh[:SALT_BYTES], fresh[SALT_BYTES:]


def grown(state: Tables) -> tuple[Edge, list[TileRow]]:
    """Return the edge of the log with the batch's entries, and the tiles that they complete."""
    edge = state.edge.copy()
    completed = chain.from_iterable(edge.append(leaf_hash(one.leaf)) for _, one in state.entries.written())
    return edge, [(tile.level, tile.index, tile.data, tile.root) for tile in completed]
