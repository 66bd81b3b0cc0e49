"""Check the whole log from its rows up: what an auditor with the database would do.

Every leaf is hashed again and the root computed from nothing else; the newest signed checkpoint and,
if given, an older one that somebody kept must both lie on that tree; every payload must be the one
its leaf commits to; and the ledger's counters must be what its rows add up to.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from macroslow.errors import VerificationError
from macroslow.tlog.checkpoint import Checkpoint, LogPublicKey, verify_checkpoint
from macroslow.tlog.leaf import leaf_hash, parse_leaf
from macroslow.tlog.tree import Edge
from macroslow.workflow.books import Books

CHUNK: Final = 1024  # entries read at once


@dataclass(frozen=True, slots=True)
class Verified:
    """What was found sound: `entries` in the log, `signed` of them under the newest checkpoint.

    `since` is the size of the checkpoint that the caller brought, None if none was.
    """

    entries: int
    signed: int
    root_sha256: str
    since: int | None
    accounts_sound: bool


@dataclass(frozen=True, slots=True)
class VerifyLog:
    """Raises VerificationError at the first thing that is wrong, and says which entry it is."""

    books: Books
    log_key: LogPublicKey

    async def __call__(
        self, *, since: bytes | None = None, progress: Callable[[int, int], None] = lambda _done, _of: None
    ) -> Verified:
        """Verify everything. `since` is a signed note; `progress` is told entries done and in all."""
        head = await self.books.head()
        newest = await self._newest(head.size)
        kept = None if since is None else verify_checkpoint(since, self.log_key)
        wanted = {checkpoint.size: checkpoint for checkpoint in (kept, newest) if checkpoint is not None}
        if kept is not None and kept.size > head.size:
            raise VerificationError(
                f"the log has {head.size} entries, the checkpoint that you kept {kept.size}: entries are gone"
            )
        edge = Edge()
        while edge.head().size < head.size:
            start = edge.head().size
            for leaf, payload in await self.books.stored(start, min(start + CHUNK, head.size)):
                _check_payload(start, leaf, payload)
                edge.append(leaf_hash(leaf))
                start += 1
                _check_root(edge, wanted.get(start))
            progress(start, head.size)
        if edge.head().root != head.root:
            raise VerificationError("the stored tree is not the tree of the stored entries")
        await self._check_ledger()
        return Verified(
            head.size, newest.size if newest else 0, head.root.hex(), kept.size if kept else None, True
        )

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
    if parse_leaf(leaf).payload_sha256 != hashlib.sha256(payload).digest():
        raise VerificationError(f"entry {index} was altered: its payload is not the one its leaf commits to")


def _check_root(edge: Edge, checkpoint: Checkpoint | None) -> None:
    if checkpoint is not None and edge.head().root != checkpoint.root:
        raise VerificationError(
            f"the first {checkpoint.size} entries are not those that were signed: an entry was altered,"
            " added or removed after the fact"
        )
