"""Receipts of entries about the caller, by their number. Every other entry looks like none."""

from dataclasses import dataclass

from macroslow.authn.principal import Principal
from macroslow.errors import DecryptionFailedError, NotFoundError
from macroslow.services.proofs.prove_entry import ProveEntry
from macroslow.tlog.event import CLASSES, EventClass, EventType
from macroslow.workflow.books import Books


@dataclass(frozen=True, slots=True)
class ProveOwn:
    """Its fields are everything that it touches."""

    books: Books
    prove: ProveEntry

    async def __call__(self, principal: Principal, index: int) -> dict[str, object]:
        """Return the receipt of entry `index`; NotFoundError unless it is about what the caller did.

        What others did to him is the operator's to tell, and a shared event is about others too.
        """
        found = await self.books.entries(index, 1)
        if not found or found[0].index != index or found[0].subject != principal.name:
            raise _none()
        entry = found[0]
        if entry.event is None or entry.others or CLASSES[EventType(entry.type)] is not EventClass.ACTIVITY:
            raise _none()
        try:
            return await self.prove.by_index(index)
        except DecryptionFailedError:  # erased since
            raise _none() from None


def _none() -> NotFoundError:
    return NotFoundError(
        "the log has no such entry of what you did",
        fix="a run names its entries (accepted_index, finished_index), a chat its log_index",
    )
