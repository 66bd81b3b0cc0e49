"""Receipts by the id of their request, for whoever made it.

What was never asked for, is another principal's, is over, has not ended yet or was erased since looks
alike: nobody learns from here which requests there were.
"""

from dataclasses import dataclass
from typing import Final

from macroslow.authn.principal import Principal
from macroslow.errors import DecryptionFailedError, NotFoundError
from macroslow.ports import Clock
from macroslow.services.proofs.prove_entry import ProveEntry
from macroslow.tlog.receipt import KEPT_DAYS
from macroslow.workflow.books import Books

_FIX: Final = (
    "send x-macroslow-receipt: true with a request and ask when its answer has ended, a stream's after its"
    f" last event; receipts are kept for {KEPT_DAYS} days"
)


@dataclass(frozen=True, slots=True)
class KeptReceipts:
    """Its fields are everything that it touches."""

    books: Books
    prove: ProveEntry
    clock: Clock

    async def __call__(self, principal: Principal, request_id: str) -> dict[str, object]:
        """Return the receipt as JSON; NotFoundError if the caller has none of that request."""
        kept = await self.books.kept_receipt(request_id)
        if kept is None or kept.principal != principal.name or kept.expires_ns <= self.clock.now_ns():
            raise _none()
        try:
            return await self.prove.by_index(kept.index)
        except DecryptionFailedError:
            raise _none() from None


def _none() -> NotFoundError:
    return NotFoundError("there is no receipt of such a request", fix=_FIX)
