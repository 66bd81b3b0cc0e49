"""SQLite's failures in sentences with a repair."""

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TypeVar

from macroslow.errors import LogUnavailableError, MacroslowError

Kind = TypeVar("Kind", bound=MacroslowError)

_SENTENCES: Final[Mapping[int, tuple[str, str]]] = {
    sqlite3.SQLITE_FULL: (
        "the disk is full",
        "free space on its disk; nothing that was acknowledged is lost",
    ),
    sqlite3.SQLITE_READONLY: (
        "it cannot be written",
        "give the gateway's user write permission to the file and its folder",
    ),
    sqlite3.SQLITE_CORRUPT: (
        "it is damaged or cut short",
        "keep the damaged file as evidence and restore the newest backup",
    ),
    sqlite3.SQLITE_NOTADB: (
        "it is not an SQLite database",
        "keep the damaged file as evidence and restore the newest backup",
    ),
    sqlite3.SQLITE_CANTOPEN: (
        "it cannot be opened",
        "check that its folder exists and that the gateway's user may write there",
    ),
    sqlite3.SQLITE_BUSY: ("another process keeps it locked", "stop the other process"),
    sqlite3.SQLITE_IOERR: ("the disk reports an error", "check the disk; the system's log names the fault"),
}


@contextmanager
def translated(path: Path, kind: type[Kind]) -> Iterator[None]:
    """Turn SQLite's and the file system's errors about `path` into `kind`."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise failure(path, error, kind) from error


def failure(path: Path, error: Exception, kind: type[Kind]) -> Kind:
    """Return `kind`, with a sentence and a repair, for an error of SQLite or of the file system.

    A client may read of a LogUnavailableError, so that says in its `reason` alone where the books are.
    """
    unopened = sqlite3.SQLITE_CANTOPEN if isinstance(error, OSError) else sqlite3.SQLITE_ERROR
    code = getattr(error, "sqlite_errorcode", unopened) & 0xFF
    what, fix = _SENTENCES.get(code, ("", ""))
    if issubclass(kind, LogUnavailableError):
        detail = "the books cannot be used"
        return kind(f"{detail}: {what}" if what else detail, fix=fix, reason=f"{path}: {error}")
    return kind(f"the books {path} cannot be used: {what or error}", fix=fix)
