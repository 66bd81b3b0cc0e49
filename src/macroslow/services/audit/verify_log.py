"""Check the whole log from its rows up: what an auditor with the database would do.

Every leaf is hashed again and the root computed from nothing else; the newest signed checkpoint and,
if given, an older one that somebody kept must both lie on that tree; every payload must be the one
its leaf commits to; and the ledger's counters must be what its rows add up to.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from macroslow.errors import VerificationError
from macroslow.tlog.checkpoint import Checkpoint, LogPublicKey, verify_checkpoint
from macroslow.tlog.leaf import leaf_hash, parse_leaf
from macroslow.tlog.ports import TreeHead
from macroslow.tlog.tree import Edge
from macroslow.workflow.books import Books

CHUNK: Final = 1024  # entries read at once


@dataclass(frozen=True, slots=True)
class Verified:
    """What was found sound: `entries` in the log, `signed` of them under the newest checkpoint.

    `since` is the size of the checkpoint that the caller brought, None if none was. The ledger's
    counters are sound too.
    """

    entries: int
    signed: int
    root_sha256: str
    since: int | None


@dataclass(frozen=True, slots=True)
class VerifyLog:
    """Raises VerificationError at the first thing that is wrong, and says which entry it is."""

    books: Books
    log_key: LogPublicKey

    async def __call__(self, *, since: bytes | None = None) -> Verified:
        """Verify everything; `since` is a signed note that somebody kept."""
        head = await self.books.head()
        newest = await self._newest(head.size)
        kept = None if since is None else verify_checkpoint(since, self.log_key)
        if kept is not None and kept.size > head.size:
            raise VerificationError(
                f"the log has {head.size} entries, the checkpoint that you kept {kept.size}: entries are gone"
            )
        root = await self._root(head.size, [signed for signed in (kept, newest) if signed is not None])
        if root != head.root:
            raise VerificationError("the stored tree is not the tree of the stored entries")
        await self._check_ledger()
        return Verified(
            entries=head.size,
            signed=newest.size if newest else 0,
            root_sha256=root.hex(),
            since=kept.size if kept else None,
        )

    async def _root(self, size: int, signed: Sequence[Checkpoint]) -> bytes:
        """The root of the first `size` entries as they are stored, every signed one checked on the way."""
        edge = Edge()
        _check_signed(signed, edge.head())
        sizes = {checkpoint.size for checkpoint in signed}
        for start in range(0, size, CHUNK):
            end = min(start + CHUNK, size)
            rows = await self.books.stored(start, end)
            if len(rows) != end - start:
                raise VerificationError(f"entries are missing: of {start} to {end - 1} there are {len(rows)}")
            for index, (leaf, payload) in enumerate(rows, start):
                _check_payload(index, leaf, payload)
                edge.append(leaf_hash(leaf))
                if index + 1 in sizes:
                    _check_signed(signed, edge.head())
        return edge.head().root

    async def _newest(self, size: int) -> Checkpoint | None:
        stored = await self.books.checkpoint()
        if stored is None:
            return None
        checkpoint = verify_checkpoint(stored[1], self.log_key)
        if checkpoint.size > size:
            raise VerificationError(
                f"the log has {size} entries, its own newest checkpoint {checkpoint.size}: entries are gone"
            )
        return checkpoint

    async def _check_ledger(self) -> None:
        differences = await self.books.audit_ledger()
        if differences:
            first = differences[0]
            raise VerificationError(
                f"the ledger does not add up: {first.where} says {first.counter}, its rows {first.rows}"
            )


def _check_payload(index: int, leaf: bytes, payload: bytes) -> None:
    try:
        facts = parse_leaf(leaf)
    except VerificationError as error:
        raise VerificationError(f"entry {index} was altered: {error.detail}") from None
    if facts.payload_sha256 != hashlib.sha256(payload).digest():
        raise VerificationError(f"entry {index} was altered: its payload is not the one its leaf commits to")


def _check_signed(signed: Sequence[Checkpoint], head: TreeHead) -> None:
    """Compare every checkpoint of this size: that somebody kept one and ours is another is the point."""
    for checkpoint in signed:
        if checkpoint.size == head.size and checkpoint.root != head.root:
            raise VerificationError(
                f"the first {checkpoint.size} entries are not those that were signed: an entry was altered,"
                " added or removed after the fact"
            )
