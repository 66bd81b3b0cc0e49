"""Receipts: one log entry, opened and proved to a stranger."""

from dataclasses import dataclass

from macroslow.errors import NotFoundError
from macroslow.services.signing.checkpoint_log import CheckpointLog
from macroslow.tlog import note, receipt
from macroslow.tlog.ports import Entry, StoreAnchor
from macroslow.workflow.books import Books


@dataclass(frozen=True, slots=True)
class ProveEntry:
    """Builds the receipt of an entry. Discloses that entry's event and nothing else."""

    books: Books
    checkpoints: CheckpointLog

    async def __call__(self, entry: Entry) -> dict[str, object]:
        """Return the receipt, as JSON, of an entry that was just made: nobody has dated it yet."""
        size, signed = await self.checkpoints.covering(entry.index)
        return receipt.build(entry, await self.books.inclusion_proof(entry.index, size), signed)

    async def by_index(self, index: int) -> dict[str, object]:
        """Return the strongest receipt of entry `index`; NotFoundError if there is none.

        It has the time stamp of the oldest checkpoint that was dated with the entry in it, unless more
        witnesses cosigned a newer one.
        """
        entry = await self.books.entry(index)
        if entry is None:
            raise no_entry(index)
        anchor = await self.books.anchor(index)
        size, signed = await self.checkpoints.covering(index)
        if anchor is None or _signatures(signed) > _signatures(anchor.note):
            return receipt.build(entry, await self.books.inclusion_proof(index, size), signed)
        return await self._dated(entry, anchor)

    async def _dated(self, entry: Entry, anchor: StoreAnchor) -> dict[str, object]:
        path = await self.books.inclusion_proof(entry.index, anchor.size)
        return receipt.build(entry, path, anchor.note, anchor.token)


def no_entry(index: int) -> NotFoundError:
    """What to raise of an entry that is not there."""
    return NotFoundError(
        f"the log has no entry {index}",
        fix="entries are counted from 0: macroslow audit tail shows the newest",
    )


def _signatures(signed: bytes) -> int:
    """How many lines a note has: those of the log, and one of each witness."""
    return len(note.parse(signed).lines)
