"""The books in one SQLite file, subjects' keys in another beside it: one writer, one reader, each a thread.

WAL with synchronous=FULL: what `commit` returned survives the death of the process and of the machine.
Another process may write the same file between two batches (a command beside a stopped server):
memory is then read anew. Two busy writers would only make each other wait.
"""

import asyncio
from collections.abc import Awaitable, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Final, Self

from macroslow.adapters.sqlite import _identities as identities
from macroslow.adapters.sqlite import _journal_reads as journal_reads
from macroslow.adapters.sqlite import _ledger_reads as ledger_reads
from macroslow.adapters.sqlite import _log_reads as log_reads
from macroslow.adapters.sqlite import _receipts as receipts
from macroslow.adapters.sqlite import _reply_reads as reply_reads
from macroslow.adapters.sqlite._errors import translated
from macroslow.adapters.sqlite._group import GroupCommit
from macroslow.adapters.sqlite._reader import Reader
from macroslow.adapters.sqlite._schema import open_reader, open_writers
from macroslow.adapters.sqlite._subjects import cached_unwrap
from macroslow.adapters.sqlite._writing import Writing
from macroslow.authn.jwt.revoked import Revocation
from macroslow.authn.ports import KeyRecord, SignerRecord
from macroslow.errors import ConfigurationError, VerificationError
from macroslow.metering.ledger import (
    MAX_TAG_BUDGETS,
    Account,
    DailyUsage,
    LedgerDifference,
    OpenReservation,
    RecentCall,
    UsageRow,
)
from macroslow.ports import Clock, Entropy
from macroslow.secretstore.ports import Sealer
from macroslow.tlog.event import EventClass
from macroslow.tlog.ports import Entry, HeldEntry, Kept, StoreAnchor, TreeHead
from macroslow.workflow.books import Change, Found, LoggedEvent, Wanted
from macroslow.workflow.journal import Run
from macroslow.workflow.replies import BindId, Reply

COMMIT_WINDOW_NS: Final = 5_000_000


class SqliteBooks:
    """`workflow.books.Books` in one file. Belongs to the event loop that opened it."""

    def __init__(self, writing: Writing, group: GroupCommit, reader: Reader, sealer: Sealer) -> None:
        self._log = writing.log
        self._group = group
        self._reader = reader
        self._unwrap = cached_unwrap(sealer)

    @classmethod
    async def open(
        cls,
        path: Path,
        *,
        sealer: Sealer,
        entropy: Entropy,
        clock: Clock,
        commit_window_ns: int = COMMIT_WINDOW_NS,
        begin: bool = True,
    ) -> Self:
        """Open the file at `path`, in a folder that exists. None, or an empty one, is made if it may `begin`.

        ConfigurationError, with the repair, if it cannot be used, or was lost; nothing is changed then.
        """
        writing, reader = await asyncio.to_thread(_open, path, sealer, entropy, begin)
        return cls(writing, GroupCommit(writing, clock, commit_window_ns), reader, sealer)

    def commit(self, *changes: Change) -> Awaitable[list[Entry]]:
        return self._group.commit(changes)

    async def close(self) -> None:
        await self._reader.close()
        await self._group.close()  # last, so that it folds the write-ahead log into the file

    # The ledger

    async def account(self, account_id: str) -> Account | None:
        return await self._reader(ledger_reads.account, account_id)

    async def open_reservations(self) -> list[OpenReservation]:
        return await self._reader(ledger_reads.open_reservations)

    async def open_child_accounts(self) -> list[Account]:
        return await self._reader(ledger_reads.open_child_accounts)

    async def usage(
        self, by: str, *, principal: str | None = None, first_day: str = "", last_day: str = ""
    ) -> list[UsageRow]:
        return await self._reader(ledger_reads.usage, by, principal, first_day, last_day)

    async def daily_usage(self, provider: str, first_day: str, last_day: str) -> list[DailyUsage]:
        return await self._reader(ledger_reads.daily_usage, provider, first_day, last_day)

    async def recent_calls(self, since_ns: int) -> list[RecentCall]:
        return await self._reader(ledger_reads.recent_calls, since_ns)

    async def budget_accounts(self, now_s: int, tags: int = MAX_TAG_BUDGETS) -> list[Account]:
        return await self._reader(ledger_reads.budget_accounts, now_s, tags)

    async def accounts_of_keys(self) -> dict[str, Account]:
        return await self._reader(ledger_reads.accounts_of_keys)

    async def run_usage(self, run_id: str) -> list[UsageRow]:
        return await self._reader(ledger_reads.run_usage, run_id)

    async def audit_ledger(self) -> list[LedgerDifference]:
        return await self._reader(ledger_reads.audit_ledger)

    # The log

    async def head(self) -> TreeHead:
        return self._log.edge.head()

    async def checkpoint(self) -> tuple[int, bytes] | None:
        return await self._reader(log_reads.checkpoint)

    async def entry(self, index: int) -> Entry | None:
        return await self._reader(log_reads.entry, self._unwrap, index)

    async def anchor(self, index: int) -> StoreAnchor | None:
        return await self._reader(log_reads.anchor, index)

    async def newest_anchor(self) -> StoreAnchor | None:
        return await self._reader(log_reads.newest_anchor)

    async def kept_receipt(self, request_id: str) -> Kept | None:
        return await self._reader(receipts.kept, request_id)

    async def find(self, wanted: Wanted, start: int, limit: int) -> Found:
        return await self._reader(log_reads.find, self._unwrap, wanted, start, limit)

    async def held_entries(
        self, subject: str, classes: frozenset[EventClass], start: int, limit: int
    ) -> list[HeldEntry]:
        return await self._reader(log_reads.held_entries, subject, classes, start, limit)

    async def entries(self, start: int, limit: int) -> list[LoggedEvent]:
        return await self._reader(log_reads.entries, self._unwrap, start, limit)

    async def leaves(self, start: int, end: int) -> list[bytes]:
        return await self._reader(log_reads.leaves, start, end)

    async def stored(self, start: int, end: int) -> list[tuple[bytes, bytes]]:
        return await self._reader(log_reads.stored, start, end)

    async def stored_parts(self, start: int, end: int) -> list[tuple[int, int, bytes]]:
        return await self._reader(log_reads.stored_parts, start, end)

    async def tile(self, level: int, index: int, width: int) -> bytes | None:
        return await self._reader(log_reads.tile, self._log.edge, level, index, width)

    async def inclusion_proof(self, index: int, size: int) -> Sequence[bytes]:
        return await self._reader(log_reads.inclusion, self._log.edge, index, size)

    async def consistency_proof(self, first: int, second: int) -> Sequence[bytes]:
        return await self._reader(log_reads.consistency, self._log.edge, first, second)

    # The journal

    async def run(self, run_id: str) -> Run | None:
        return await self._reader(journal_reads.run, run_id)

    async def runs(self, principal: str | None, *, limit: int = 100) -> list[Run]:
        return await self._reader(journal_reads.runs, principal, limit)

    async def running(self) -> list[Run]:
        return await self._reader(journal_reads.running)

    async def sealed_object(self, run_id: str, kind: str) -> tuple[str, bytes] | None:
        return await self._reader(journal_reads.sealed_object, run_id, kind)

    # Replies and bound ids

    async def reply(self, principal: str, key: str) -> Reply | None:
        return await self._reader(reply_reads.reply, self._unwrap, principal, key)

    async def bound_id(self, id: str) -> BindId | None:  # noqa: A002 - the port's word
        return await self._reader(reply_reads.bound_id, id)

    # Identities

    async def keys(self) -> list[KeyRecord]:
        return await self._reader(identities.keys)

    async def key_uses(self) -> dict[str, int]:
        return await self._reader(identities.key_uses)

    async def signers(self) -> list[SignerRecord]:
        return await self._reader(identities.signers)

    async def revocations(self) -> list[Revocation]:
        return await self._reader(identities.revocations)


def _open(path: Path, sealer: Sealer, entropy: Entropy, begin: bool) -> tuple[Writing, Reader]:
    try:
        with ExitStack() as undo:
            writers = open_writers(path, begin=begin)
            for connection in writers:
                undo.enter_context(closing(connection))
            with translated(path, ConfigurationError):
                writing = Writing(path, writers, sealer, entropy)
            opened = writing, Reader(path, open_reader(path))
            undo.pop_all()
    except VerificationError as error:
        raise ConfigurationError(
            f"the log in {path} is damaged: {error.detail}",
            fix="keep the damaged file as evidence and restore the newest backup",
        ) from error
    return opened
