"""One writer's transaction: lists of changes in, each whole or not at all, all durable together."""

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

from macroslow.adapters.sqlite._erasing import Erasing
from macroslow.adapters.sqlite._errors import failure
from macroslow.adapters.sqlite._identities import (
    drop_key,
    drop_revocation,
    put_key,
    put_key_use,
    put_revocation,
    put_signer,
)
from macroslow.adapters.sqlite._journal import Journal
from macroslow.adapters.sqlite._ledger import Ledger
from macroslow.adapters.sqlite._log import Log
from macroslow.adapters.sqlite._names import Names
from macroslow.adapters.sqlite._receipts import Receipts
from macroslow.adapters.sqlite._replies import Replies
from macroslow.adapters.sqlite._schema import Writers
from macroslow.adapters.sqlite._stage import Stage
from macroslow.adapters.sqlite._statements import IN_ORDER
from macroslow.adapters.sqlite._subjects import Subjects
from macroslow.authn.ports import DropKey, DropRevocation, PutKey, PutKeyUse, PutRevocation, PutSigner
from macroslow.errors import ConflictError, LogUnavailableError
from macroslow.metering.ledger import CloseAccount, OpenAccount, Reserve, Settle
from macroslow.ports import Entropy
from macroslow.secretstore.ports import Sealer
from macroslow.tlog.ports import Append, Entry, EraseSubject, KeepReceipt, StoreAnchor, StoreCheckpoint
from macroslow.workflow.books import Change
from macroslow.workflow.journal import AcceptRun, FinishRun, PutObject
from macroslow.workflow.replies import BindId, ClaimReply, DropReply, PutReply

_CALLERS_FAULTS: Final = (sqlite3.DataError, sqlite3.InterfaceError, sqlite3.ProgrammingError)
"""SQLite's errors about values that it does not take; all others are about the store."""


_PLACED: Final = frozenset({KeepReceipt, EraseSubject})
"""Changes that have their place in a list."""

_BEFORE_ENTRY: Final = frozenset({AcceptRun, FinishRun, EraseSubject})
"""Changes that a log entry must follow."""

_READERS_WAIT_MS: Final = 500
"""For readers to let go of what was erased. One that takes longer delays only how soon no log holds it."""


class Writing:
    """The writing connections and what is kept in memory beside them. One thread at a time may call it."""

    def __init__(self, path: Path, writers: Writers, sealer: Sealer, entropy: Entropy) -> None:
        self._translated = _Translated(path)
        self._connection = connection = writers.books
        self._stage = stage = Stage()
        names = Names(connection, stage)
        self._subjects = subjects = Subjects(connection, writers.subjects, stage, sealer, entropy)
        self._ledger = ledger = Ledger(connection, stage, names)
        self.log = log = Log(connection, stage, names, subjects, entropy)
        journal = Journal(connection, stage, names, log)
        self._replies = replies = Replies(connection, stage, names, subjects, entropy)
        receipts = Receipts(connection, stage, names)
        self._parts = (names, subjects, ledger, log, journal, replies, receipts)
        self._handlers: Mapping[type[Change], Callable[[Any], Entry | None]] = {
            Reserve: ledger.reserve,
            Settle: ledger.settle,
            Append: log.append,
            OpenAccount: ledger.open_account,
            CloseAccount: ledger.close_account,
            StoreCheckpoint: log.store_checkpoint,
            StoreAnchor: log.store_anchor,
            KeepReceipt: receipts.keep,
            EraseSubject: Erasing(connection, stage, names, subjects, log).erase,
            AcceptRun: journal.accept,
            FinishRun: journal.finish,
            PutObject: journal.put_object,
            PutKey: partial(put_key, stage),
            PutKeyUse: partial(put_key_use, stage),
            DropKey: partial(drop_key, stage),
            PutSigner: partial(put_signer, stage),
            PutRevocation: partial(put_revocation, stage),
            DropRevocation: partial(drop_revocation, stage),
            ClaimReply: replies.claim,
            PutReply: replies.put,
            DropReply: replies.drop,
            BindId: replies.bind,
        }
        self._erasing = True  # whether keys may have to be destroyed: a killed process may have left some
        self._wait_ms = _READERS_WAIT_MS
        self._finish_erasure()
        self._version: int | None = self._data_version()

    def begin(self) -> None:
        """Begin a batch. LogUnavailableError if the store cannot be written."""
        with self._translated:
            self._finish_erasure()
            self._connection.execute("BEGIN IMMEDIATE")
            version = self._data_version()
            if version != self._version:  # another process wrote, or a batch failed: memory is stale
                for part in self._parts:
                    part.reload()
                self._version = version

    def apply(self, changes: Sequence[Change]) -> list[Entry]:
        """Decide one list of changes, whole or not at all.

        LogUnavailableError means that the batch is lost; any other error concerns this list alone.
        """
        try:
            entries = self._decide(changes)
        except BaseException:
            self._stage.drop()
            with self._translated:
                raise
        self._stage.keep()
        return entries

    def commit(self) -> None:
        """Make the batch durable, or raise; then `rollback`.

        LogUnavailableError is about the store, any other error about a row that it does not take.
        """
        with self._translated:
            self._ledger.flush()
            self.log.flush()
            self._replies.flush()
            self._subjects.flush()
            self._stage.flush(self._connection, IN_ORDER)
            self._connection.execute("COMMIT")
            self._stage.clear()
            self.log.committed()
            self._finish_erasure()

    def rollback(self) -> None:
        """Undo the batch, in the store and in memory. LogUnavailableError if the store is out of reach."""
        self._stage.clear()
        self._version = None
        with self._translated:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")

    @property
    def unfinished(self) -> bool:
        """Whether a write-ahead log may still hold what was erased, for a reader that needs it."""
        return self._erasing

    def finish(self) -> None:
        """Empty the write-ahead logs if no reader needs them any more. LogUnavailableError as `begin`."""
        with self._translated:
            self._finish_erasure()

    def close(self) -> None:
        """Fold the write-ahead logs into the files and release them."""
        self._subjects.close()
        self._connection.close()

    def _decide(self, changes: Sequence[Change]) -> list[Entry]:
        entries: list[Entry] = []
        entry_due = False
        for change in changes:
            kind = type(change)
            if kind in _PLACED:
                self._require_place(change, first=change is changes[0], entries=entries)
            entry = self._handlers[kind](change)
            if entry is not None:
                entries.append(entry)
                entry_due = False
            elif kind in _BEFORE_ENTRY:
                entry_due = True
        if entry_due:
            raise ValueError(
                "a run is accepted or finished, or a subject erased, without a log entry after it"
            )
        return entries

    def _require_place(self, change: Change, *, first: bool, entries: Sequence[Entry]) -> None:
        if isinstance(change, KeepReceipt) and not entries:
            raise ValueError("a receipt is kept without a log entry before it")
        if isinstance(change, EraseSubject):
            if not first:
                raise ValueError("an erasure is not the first of its list")
            self._erasing, self._wait_ms = True, _READERS_WAIT_MS

    def _finish_erasure(self) -> None:
        """Destroy the keys that the books say are erased; what was in memory under the name is read anew."""
        if self._erasing:
            self._version = None
            self._erasing = not self._subjects.destroy_erased(self._wait_ms)
            self._wait_ms = 0  # who waits for a commit does not wait for a long reader again and again

    def _data_version(self) -> int:
        (version,) = self._connection.execute("PRAGMA data_version").fetchone()
        return int(version)


class _Translated:
    """In its block, an error of SQLite becomes one of ours: `contextmanager` would cost each batch more."""

    __slots__ = ("_path",)

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, sqlite3.Error):
            raise _explained(self._path, error) from error


def _explained(path: Path, error: sqlite3.Error) -> ConflictError | ValueError | LogUnavailableError:
    if isinstance(error, sqlite3.IntegrityError):
        return ConflictError("a change contradicts what is stored", reason=str(error))
    if isinstance(error, _CALLERS_FAULTS):
        return ValueError(f"a change cannot be stored: {error}")
    return failure(path, error, LogUnavailableError)
