"""The books: ledger, log, journal and identities, changed together and never by halves.

A change is a value; a commit is a list of them, durable and atomic. So a settlement and its log
entry cannot be told apart by a crash, and every store (SQLite here, others later) has one method
to get right. Commits of many callers share one transaction (group commit).
"""

from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Final, Protocol

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
from macroslow.tlog.ports import (
    Append,
    Entry,
    EraseSubject,
    KeepReceipt,
    LogReader,
    StoreAnchor,
    StoreCheckpoint,
)
from macroslow.values import value
from macroslow.workflow.journal import AcceptRun, FinishRun, JournalReader, PutObject
from macroslow.workflow.replies import BindId, ClaimReply, DropReply, PutReply, ReplyReader

Change = (
    Append
    | StoreCheckpoint
    | StoreAnchor
    | KeepReceipt
    | EraseSubject
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


MAX_LOOKED_AT: Final = 50_000
"""Entries that one `find` looks at, at most."""


@value
class LoggedEvent:
    """One entry for people to read. `event` is its canonical bytes, None if its subject's key is gone.

    `erased_by` is the index of the entry that tells of the erasure, None if it was not erased. `others` are
    the canonical parts of a shared event, None where that person was erased; none once all of it was.
    """

    index: int
    time_ns: int
    type: int
    subject: str
    event: bytes | None
    erased_by: int | None = None
    others: tuple[bytes | None, ...] = ()


@dataclass(frozen=True, slots=True)
class Wanted:
    """What `find` looks for, by what the log shows without a key.

    `subject`: entries of theirs and shared events with a part of theirs; None: anybody's. `types`: none
    named means any. Times are those of the events, from `from_ns` on and before `until_ns`.
    """

    subject: str | None = None
    types: frozenset[int] = frozenset()
    from_ns: int = 0
    until_ns: int = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Found:
    """Entries found, ascending, and the index to look on from; `next` is None at the end of the log."""

    entries: list[LoggedEvent]
    next: int | None


class Books(LedgerReader, LogReader, JournalReader, IdentityReader, ReplyReader, Protocol):
    """One store of everything that must stay consistent."""

    def commit(self, *changes: Change) -> Awaitable[list[Entry]]:
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

    async def find(self, wanted: Wanted, start: int, limit: int) -> Found:
        """Up to `limit` wanted entries from index `start` on, opened where their subject was not erased.

        Looks at no more than MAX_LOOKED_AT entries: found none, there may be some from `next` on.
        """
        ...

    async def stored(self, start: int, end: int) -> list[tuple[bytes, bytes]]:
        """Leaf and payload of each entry of [start, end), as stored and unchecked."""
        ...

    async def stored_parts(self, start: int, end: int) -> list[tuple[int, int, bytes]]:
        """Index, position and sealed part for all parts of shared events of [start, end), in this order.

        Of an entry that was erased only those are left that were erased before it.
        """
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
