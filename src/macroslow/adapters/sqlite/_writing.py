"""One writer's transaction: lists of changes in, each whole or not at all, all durable together."""

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from macroslow.adapters.sqlite import _identities as identities
from macroslow.adapters.sqlite._errors import translated
from macroslow.adapters.sqlite._journal import Journal
from macroslow.adapters.sqlite._ledger import Ledger
from macroslow.adapters.sqlite._log import Log
from macroslow.adapters.sqlite._names import Names
from macroslow.adapters.sqlite._subjects import Sealer, Subjects
from macroslow.authn.ports import PutKey, PutSigner
from macroslow.errors import ConflictError, LogUnavailableError
from macroslow.metering.ledger import CloseAccount, OpenAccount, Reserve, Settle
from macroslow.ports import Entropy
from macroslow.tlog.ports import Append, Entry, StoreCheckpoint
from macroslow.workflow.books import Change
from macroslow.workflow.journal import AcceptRun, FinishRun, PutObject

_REFUSALS: Final = (sqlite3.IntegrityError, sqlite3.DataError)
"""SQLite's errors that are the fault of one list; any other fails the whole batch."""


class Writing:
    """The writing connection and what is kept in memory beside it. One thread at a time may call it."""

    def __init__(self, path: Path, connection: sqlite3.Connection, sealer: Sealer, entropy: Entropy) -> None:
        self._path = path
        self._connection = connection
        names = Names(connection)
        subjects = Subjects(connection, names, sealer, entropy)
        self._ledger = ledger = Ledger(connection, names)
        self.log = log = Log(connection, names, subjects, entropy)
        journal = Journal(connection, names, log)
        self._staged = (names, subjects, ledger, log)
        self._handlers: Mapping[type[Change], Callable[[Any], Entry | None]] = {
            Reserve: ledger.reserve,
            Settle: ledger.settle,
            Append: log.append,
            OpenAccount: ledger.open_account,
            CloseAccount: ledger.close_account,
            StoreCheckpoint: log.store_checkpoint,
            AcceptRun: journal.accept,
            FinishRun: journal.finish,
            PutObject: journal.put_object,
            PutKey: self._put_key,
            PutSigner: self._put_signer,
        }
        self._version = self._data_version()

    def begin(self) -> None:
        """Begin a batch. LogUnavailableError if the store cannot be written."""
        with translated(self._path, LogUnavailableError):
            self._connection.execute("BEGIN IMMEDIATE")
            version = self._data_version()
            if version != self._version:  # another process committed: what we remember is stale
                self._version = version
                self._forget()
                self.log.reload()

    def apply(self, changes: Sequence[Change]) -> list[Entry]:
        """Make one list of changes, or none of it.

        LogUnavailableError means that the batch is lost; any other error concerns this list alone.
        """
        with translated(self._path, LogUnavailableError):
            self._connection.execute("SAVEPOINT list")
            try:
                entries = self._apply(changes)
            except _REFUSALS as error:
                self._drop()
                raise ConflictError("A change contradicts what is stored.", reason=str(error)) from error
            except BaseException:
                self._drop()
                raise
            self._connection.execute("RELEASE list")
            for part in self._staged:
                part.keep()
            return entries

    def commit(self) -> None:
        """Make the batch durable. LogUnavailableError if that fails: then `rollback`."""
        with translated(self._path, LogUnavailableError):
            self._ledger.flush()
            self.log.flush()
            self._connection.execute("COMMIT")
        for part in self._staged:
            part.committed()

    def rollback(self) -> None:
        """Undo the batch, in the store and in memory."""
        self._forget()
        with translated(self._path, LogUnavailableError):
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")

    def close(self) -> None:
        """Fold the write-ahead log into the file and release it."""
        self._connection.close()

    def _apply(self, changes: Sequence[Change]) -> list[Entry]:
        _require_entry_of_run(changes)
        entries = []
        for change in changes:
            entry = self._handlers[type(change)](change)
            if entry is not None:
                entries.append(entry)
        return entries

    def _put_key(self, change: PutKey) -> None:
        identities.put_key(self._connection, change.record)

    def _put_signer(self, change: PutSigner) -> None:
        identities.put_signer(self._connection, change.record)

    def _drop(self) -> None:
        self._connection.execute("ROLLBACK TO list")
        self._connection.execute("RELEASE list")
        for part in self._staged:
            part.drop()

    def _forget(self) -> None:
        for part in self._staged:
            part.forget()

    def _data_version(self) -> int:
        (version,) = self._connection.execute("PRAGMA data_version").fetchone()
        return int(version)


def _require_entry_of_run(changes: Sequence[Change]) -> None:
    """Raise ValueError if a run is accepted or finished without a log entry after it."""
    for change in reversed(changes):
        if isinstance(change, Append):
            return
        if isinstance(change, AcceptRun | FinishRun):
            raise ValueError("a run is accepted or finished without a log entry after it")  # noqa: TRY004
