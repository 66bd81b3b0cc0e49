"""The books: ledger, log, journal and identities, changed together and never by halves.

A change is a value; a commit is a list of them, durable and atomic. So a settlement and its log
entry cannot be told apart by a crash, and every store (SQLite here, others later) has one method
to get right. Commits of many callers share one transaction (group commit).
"""

from typing import Protocol

from macroslow.authn.ports import IdentityReader, PutKey, PutSigner
from macroslow.metering.ledger import CloseAccount, LedgerReader, OpenAccount, Reserve, Settle
from macroslow.tlog.ports import Append, Entry, LogReader, StoreCheckpoint
from macroslow.workflow.journal import AcceptRun, FinishRun, JournalReader, PutObject

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
    | PutSigner
)


class Books(LedgerReader, LogReader, JournalReader, IdentityReader, Protocol):
    """One store of everything that must stay consistent."""

    async def commit(self, *changes: Change) -> list[Entry]:
        """Make all changes or none, durably, in order; return one Entry for each Append.

        Raises what a change raises (BudgetExhaustedError, ConflictError), then nothing happened;
        LogUnavailableError if the store cannot be written. Once started, cancelling the caller
        does not undo it.
        """
        ...

    async def close(self) -> None:
        """Finish pending commits and release the store."""
        ...
