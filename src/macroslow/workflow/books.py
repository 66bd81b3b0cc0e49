"""The books: ledger, log, journal and identities, changed together and never by halves.

A change is a value; a commit is a list of them, durable and atomic. So a settlement and its log
entry cannot be told apart by a crash, and every store (SQLite here, others later) has one method
to get right. Commits of many callers share one transaction (group commit).
"""

from dataclasses import dataclass
from typing import Protocol

from macroslow.authn.ports import (
    DropKey,
    DropRevocation,
    IdentityReader,
    PutKey,
    PutKeyUse,
    PutRevocation,
    PutSigner,
)
from macroslow.metering.ledger import CloseAccount, LedgerReader, OpenAccount, Reserve, Settle, UsageRow
from macroslow.tlog.ports import Append, Entry, LogReader, StoreCheckpoint
from macroslow.workflow.journal import AcceptRun, FinishRun, JournalReader, PutObject
from macroslow.workflow.replies import BindId, ClaimReply, DropReply, PutReply, ReplyReader

Change = (
    Append
    | StoreCheckpoint
    | OpenAccount
    | CloseAccount
    | Reserve
    | Settle
    | AcceptRun
    | FinishRun
    | PutObject
    | PutKey
    | PutKeyUse
    | DropKey
    | PutSigner
    | PutRevocation
    | DropRevocation
    | ClaimReply
    | PutReply
    | DropReply
    | BindId
)


@dataclass(frozen=True, slots=True)
class LoggedEvent:
    """One entry for people to read. `event` is its canonical bytes, None once its subject was erased."""

    index: int
    time_ns: int
    type: int
    subject: str
    event: bytes | None


class Books(LedgerReader, LogReader, JournalReader, IdentityReader, ReplyReader, Protocol):
    """One store of everything that must stay consistent."""

    async def commit(self, *changes: Change) -> list[Entry]:
        """Make all changes or none, durably, in order; return one Entry for each Append.

        Raises what a change raises (BudgetExhaustedError, ConflictError, NotFoundError, ValueError),
        then nothing happened; LogUnavailableError if the store cannot be written, then nothing was
        promised. Once started, cancelling the caller does not undo it. Commits of one process are
        decided in the order in which they were started.
        """
        ...

    async def entries(self, start: int, limit: int) -> list[LoggedEvent]:
        """Up to `limit` entries from index `start` on, opened where their subject was not erased."""
        ...

    async def stored(self, start: int, end: int) -> list[tuple[bytes, bytes]]:
        """Leaf and payload of each entry of [start, end), as stored and unchecked."""
        ...

    async def run_usage(self, run_id: str) -> list[UsageRow]:
        """What the settled calls of one run used, by model."""
        ...

    async def tile(self, level: int, index: int, width: int) -> bytes | None:
        """The first `width` (1 to 256) hashes of a tile (C2SP tlog-tiles); None if there are not so many."""
        ...

    async def close(self) -> None:
        """Finish pending commits and release the store."""
        ...
