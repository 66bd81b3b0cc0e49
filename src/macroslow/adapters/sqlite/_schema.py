"""Opening the books and the subjects' keys beside them: connections that keep SQLite's promises.

Both files are for their owner alone (mode 0600). The keys are not in the books, so that a copy of the books
is no copy of the keys: books that are restored beside the newest keys hold nothing that was erased.

A file is whole or empty: it is made under another name and moved into place. An empty one says that nothing
was ever kept in it, a missing one that something may be lost.
"""

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final, NamedTuple

from macroslow.adapters.sqlite._errors import translated
from macroslow.adapters.sqlite._tables import SUBJECT_TABLES, TABLES
from macroslow.durable_files import sync_folder
from macroslow.errors import ConfigurationError

BUSY_TIMEOUT_S: Final = 5.0
MINIMUM_SQLITE: Final = (3, 38, 0)  # JSON functions; STRICT tables came with 3.37
SUBJECTS_FILE: Final = "subjects.sqlite"
RESTORE: Final = "restore the newest backup"


class Kind(NamedTuple):
    """What a file is: its application id (at offset 68), the version of its tables, and how they are made."""

    application_id: int
    version: int
    tables: str


BOOKS: Final = Kind(0x4D534C57, 1, TABLES)  # "MSLW"
SUBJECTS: Final = Kind(0x4D534C53, 1, SUBJECT_TABLES)  # "MSLS"


class Writers(NamedTuple):
    """The two connections of the one writer."""

    books: sqlite3.Connection
    subjects: sqlite3.Connection


def open_writers(path: Path, *, begin: bool) -> Writers:
    """Open the books at `path` for writing, and the keys beside them.

    Missing or empty books are made if they may `begin`. Raises ConfigurationError, with the repair, if books
    were lost, or a file is truncated, no SQLite database, not ours, of another schema or not writable, or if
    the keys of books are missing.
    """
    if sqlite3.sqlite_version_info < MINIMUM_SQLITE:
        raise ConfigurationError(
            f"this Python brings SQLite {sqlite3.sqlite_version}; the books need 3.38 or newer",
            fix="use a Python that is linked with a newer SQLite",
        )
    with translated(path, ConfigurationError):
        if _size_bytes(path) == 0:
            _require_none_lost(path, begin=begin)
            _make(path, BOOKS)
        return _open_existing(path)


def open_reader(path: Path) -> sqlite3.Connection:
    """Open a second connection that cannot write; it has the keys as `subjects`."""
    with translated(path, ConfigurationError):
        connection = _connect(path, "ro")
        connection.execute("ATTACH ? AS subjects", (_uri(path.with_name(SUBJECTS_FILE), "ro"),))
        return connection


def open_still(path: Path) -> sqlite3.Connection:
    """Open books to look at; where SQLite keeps no WAL beside them it makes none."""
    beside = path.with_name(f"{path.name}-wal").exists()
    connection = _connect(path, "ro" if beside else "ro&immutable=1")
    try:
        _require_ours(path, connection, BOOKS)
    except BaseException:
        connection.close()
        raise
    return connection


def _require_none_lost(path: Path, *, begin: bool) -> None:
    """The keys are made after the books: where they are, missing or empty books are no new ones."""
    keys = path.with_name(SUBJECTS_FILE)
    if _size_bytes(keys):
        raise ConfigurationError(
            f"{path} is {_state(path)}, but {SUBJECTS_FILE} beside it is not: the books were lost",
            fix=f"{RESTORE}; to begin anew on purpose: mv {keys} {keys}.old; touch {path}",
        )
    if not begin and not path.exists():
        raise ConfigurationError(
            f"{path} is missing beside the gateway's keys: the books were lost",
            fix=f"{RESTORE}; to begin anew on purpose: touch {path}",
        )
    if not begin:
        raise ConfigurationError(
            f"{path} is empty: nothing was kept in it yet", fix="macroslow serve begins it"
        )


def _require_no_wal(path: Path) -> None:
    """Pages that were committed to a file that is no more must not get into a new one."""
    wal = path.with_name(f"{path.name}-wal")
    if _size_bytes(wal):
        raise ConfigurationError(
            f"{path} is {_state(path)}, but its write-ahead log {wal.name} is not",
            fix=f"put {path.name} back beside it, or {RESTORE}; to begin anew on purpose: mv {wal} {wal}.old",
        )


def _state(path: Path) -> str:
    return "empty" if path.exists() else "missing"


def _size_bytes(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _make(path: Path, kind: Kind) -> None:
    """Make the file in the place of none or an empty one: all of it, or nothing."""
    _require_no_wal(path)
    fresh = path.with_name(f"{path.name}.new")
    for left in (fresh, path.with_name(f"{fresh.name}-journal")):
        left.unlink(missing_ok=True)  # of a start that was cut off
    os.close(os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    with closing(_connect(fresh, "rw")) as connection:
        connection.executescript(
            f"BEGIN EXCLUSIVE; {kind.tables} PRAGMA application_id = {kind.application_id};"
            f" PRAGMA user_version = {kind.version}; COMMIT;"
        )
    fresh.rename(path)
    sync_folder(path.parent)


def _open_existing(path: Path) -> Writers:
    books = _writable(path, BOOKS)
    try:
        books.execute("PRAGMA foreign_keys = ON")
        books.execute("BEGIN IMMEDIATE")  # fails here, not at the first call, if it cannot be written
        books.execute("COMMIT")
        return Writers(books, _open_subjects(path.with_name(SUBJECTS_FILE), books))
    except BaseException:
        books.close()
        raise


def _open_subjects(path: Path, books: sqlite3.Connection) -> sqlite3.Connection:
    """Open the keys; make them where nothing is sealed yet, or where an empty file says so."""
    with translated(path, ConfigurationError):
        if not path.exists():
            _require_nothing_sealed(path, books)
        if _size_bytes(path) == 0:
            _make(path, SUBJECTS)
        return _writable(path, SUBJECTS)


def _require_nothing_sealed(path: Path, books: sqlite3.Connection) -> None:
    (sealed,) = books.execute("SELECT EXISTS (SELECT 1 FROM entries)").fetchone()
    if sealed:
        raise ConfigurationError(
            f"{path} is missing: it holds the keys of what is sealed in the books beside it",
            fix=f"put it back from where it was moved to; to go on without, and never read what is sealed,"
            f" make an empty one: touch {path}",
        )


def _writable(path: Path, kind: Kind) -> sqlite3.Connection:
    connection = _connect(path, "rw")
    try:
        _require_ours(path, connection, kind)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA secure_delete = ON")
    except BaseException:
        connection.close()
        raise
    return connection


def _require_ours(path: Path, connection: sqlite3.Connection, kind: Kind) -> None:
    (application_id,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if application_id != kind.application_id:
        raise ConfigurationError(
            f"{path} is an SQLite database of another program",
            fix="move it away, or correct the state folder in the configuration",
        )
    if version != kind.version:
        raise ConfigurationError(
            f"{path} has schema {version}; this version of Macroslow knows {kind.version}",
            fix="run the version of Macroslow that wrote it, or a newer one",
        )


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    return sqlite3.connect(
        _uri(path, mode),
        uri=True,
        timeout=BUSY_TIMEOUT_S,
        isolation_level=None,  # transactions are begun and ended in so many words
        check_same_thread=False,  # opened in one thread, then used by one other
    )


def _uri(path: Path, mode: str) -> str:
    return f"{path.absolute().as_uri()}?mode={mode}"
