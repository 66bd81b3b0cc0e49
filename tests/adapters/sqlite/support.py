"""Books on real files for these tests, and a sealer that is quick and checks what it is given."""

import sqlite3
from contextlib import closing
from pathlib import Path

from macroslow.adapters.sqlite import SqliteBooks, key_name
from macroslow.adapters.system import SystemClock, SystemEntropy
from macroslow.errors import DecryptionFailedError
from macroslow.tlog.event import EventClass


class LabelSealer:
    """Binds to subject and purpose like the real one, and hides nothing."""

    def seal(self, plaintext: bytes, subject: str, *, purpose: str = "object") -> bytes:
        return f"{purpose}|{subject}|".encode() + plaintext

    def open(self, sealed: bytes, subject: str, *, purpose: str = "object") -> bytes:
        label = f"{purpose}|{subject}|".encode()
        if not sealed.startswith(label):
            raise DecryptionFailedError("another label")
        return sealed.removeprefix(label)


async def open_books(path: Path, *, commit_window_ns: int = 0, begin: bool = True) -> SqliteBooks:
    return await SqliteBooks.open(
        path,
        sealer=LabelSealer(),
        entropy=SystemEntropy(),
        clock=SystemClock(),
        commit_window_ns=commit_window_ns,
        begin=begin,
    )


def drop_keys(path: Path, subject: str) -> None:
    """Take all keys of a subject away, past the books at `path`, which nobody has open."""
    with closing(sqlite3.connect(path.with_name("subjects.sqlite"))) as connection:
        for kind in EventClass:
            connection.execute("DELETE FROM keys WHERE name = ?", (key_name(subject, kind),))
        connection.commit()
