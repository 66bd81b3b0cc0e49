"""Books in PostgreSQL as these tests open them."""

from macroslow.adapters.postgres import PostgresBooks
from macroslow.adapters.system import SystemClock, SystemEntropy
from macroslow.errors import DecryptionFailedError
from macroslow.secretstore.ports import Sealer
from macroslow.tlog.leaf import leaf_hash
from macroslow.tlog.tree import root_of


class LabelSealer:
    """Binds to subject and purpose like the real one, and hides nothing."""

    def seal(self, plaintext: bytes, subject: str, *, purpose: str = "object") -> bytes:
        return f"{purpose}|{subject}|".encode() + plaintext

    def open(self, sealed: bytes, subject: str, *, purpose: str = "object") -> bytes:
        label = f"{purpose}|{subject}|".encode()
        if not sealed.startswith(label):
            raise DecryptionFailedError("another label")
        return sealed.removeprefix(label)


async def open_books(
    url: str,
    owner: str = "one",
    *,
    commit_window_ns: int = 0,
    grace_s: float = 0.0,
    sealer: Sealer | None = None,
) -> PostgresBooks:
    return await PostgresBooks.open(
        url,
        owner=owner,
        sealer=sealer or LabelSealer(),
        entropy=SystemEntropy(),
        clock=SystemClock(),
        commit_window_ns=commit_window_ns,
        grace_s=grace_s,
    )


async def sound(books: PostgresBooks) -> None:
    """Assert that the tree is that of the stored leaves and the counters those of the rows."""
    head = await books.head()
    leaves = await books.leaves(0, head.size + 10)
    assert (head.size, head.root) == (len(leaves), root_of([leaf_hash(leaf) for leaf in leaves]))
    assert await books.audit_ledger() == []
