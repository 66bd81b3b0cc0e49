"""Receipts: one log entry, opened and proved to a stranger."""

from dataclasses import dataclass

from macroslow.errors import NotFoundError
from macroslow.services.audit.checkpoint_log import CheckpointLog
from macroslow.tlog import receipt
from macroslow.tlog.ports import Entry
from macroslow.workflow.books import Books


@dataclass(frozen=True, slots=True)
class ProveEntry:
    """Builds the receipt of an entry against the newest checkpoint that covers it."""

    books: Books
    checkpoints: CheckpointLog

    async def __call__(self, entry: Entry) -> dict[str, object]:
        """Return the receipt as JSON. Discloses this entry's event and nothing else."""
        size, note = await self.checkpoints.covering(entry.index)
        proof = await self.books.inclusion_proof(entry.index, size)
        return receipt.build(entry, proof, note)

    async def by_index(self, index: int) -> dict[str, object]:
        """Return the receipt of entry `index`; NotFoundError if there is none."""
        entry = await self.books.entry(index)
        if entry is None:
            raise NotFoundError(
                f"the log has no entry {index}",
                fix="entries are counted from 0: macroslow audit tail shows the newest",
            )
        return await self(entry)
