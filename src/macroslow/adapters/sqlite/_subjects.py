"""Subjects' keys: one for each class of their events, made on first use, stored wrapped, in their own file.

A key that is new is durable before the books use it: one that was made for books that were never written
harms nobody. A key is erased after the books say so: they name it in `erased_keys` with the erasure itself,
and until it is overwritten here it counts as gone. So whatever is killed when, no key is lost that the books
need, and none stays that they say is erased.

A key is found under SHA-256(class, subject): what is overwritten leaves nobody's name in an index.
"""

import hashlib
import logging
import sqlite3
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import lru_cache
from typing import Final

from macroslow.adapters.sqlite._held import held, newest_tiles
from macroslow.adapters.sqlite._stage import Cache, Stage
from macroslow.adapters.sqlite._statements import OF_SUBJECTS, PUT_ERASED_KEY, PUT_SUBJECT_KEY
from macroslow.crypto.rows import KEY_BYTES
from macroslow.errors import DecryptionFailedError
from macroslow.ports import Entropy
from macroslow.secretstore.ports import Sealer
from macroslow.tlog.event import EventClass

log: Final = logging.getLogger("macroslow.books")

PURPOSE: Final = "subject-key"
READER_KEYS: Final = 4_096
LOOKED_AT: Final = 64  # tiles of a subject that a new key has looked through
_OF_NAME: Final = "SELECT n, wrapped FROM keys WHERE name = ?"
_OVERWRITE: Final = "UPDATE keys SET name = zeroblob(32), wrapped = zeroblob(length(wrapped)) WHERE n = ?"
_DUE: Final = "SELECT name, sha256 FROM erased_keys"

_Key = tuple[str, EventClass]


class Subjects:
    """The keys, for the writer."""

    def __init__(
        self,
        books: sqlite3.Connection,
        connection: sqlite3.Connection,
        stage: Stage,
        sealer: Sealer,
        entropy: Entropy,
    ) -> None:
        self._books = books
        self._connection = connection
        self._stage = stage
        self._sealer = sealer
        self._entropy = entropy
        self._keys = Cache[_Key, bytes](stage)
        self._warned = False
        self._gone = Cache[bytes, bool](stage, None)  # SHA-256 of wrapped keys that count as erased
        self.reload()

    def key(self, subject: str, kind: EventClass) -> bytes:
        """Return the subject's 32-byte key. DecryptionFailedError if what is stored does not open."""
        key = self._keys.get((subject, kind))
        return self._key_in_store(subject, kind) if key is None else key

    def erase(self, subject: str, classes: Iterable[EventClass]) -> None:
        """Have these keys destroyed with the batch; from now on the subject has none."""
        for kind in classes:
            name = key_name(subject, kind)
            self._keys.take((subject, kind))
            for _, wrapped in self._connection.execute(_OF_NAME, (name,)).fetchall():
                sha256 = hashlib.sha256(wrapped).digest()
                self._gone.put(sha256, True)
                self._stage.write(PUT_ERASED_KEY, (name, sha256))

    def flush(self) -> None:
        """Make the batch's new keys durable."""
        if self._stage.rows(PUT_SUBJECT_KEY):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                self._stage.flush(self._connection, OF_SUBJECTS)
                self._connection.execute("COMMIT")
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise

    def destroy_erased(self, wait_ms: int) -> bool:
        """Overwrite every key that the books say is erased, and empty both write-ahead logs.

        False where a reader still holds a snapshot after `wait_ms`: a later call empties the logs.
        """
        due = self._books.execute(_DUE).fetchall()
        if not due:
            return True
        self._overwrite(due)
        emptied = [_emptied(each, wait_ms) for each in (self._connection, self._books)]
        if all(emptied):
            self._books.executemany("DELETE FROM erased_keys WHERE name = ? AND sha256 = ?", due)
        return all(emptied)

    def reload(self) -> None:
        self._keys.clear()
        self._gone.clear()
        for _, sha256 in self._books.execute(_DUE):
            self._gone.learn(sha256, True)

    def close(self) -> None:
        """Fold the write-ahead log into the file and release it."""
        self._connection.close()

    def _key_in_store(self, subject: str, kind: EventClass) -> bytes:
        name = key_name(subject, kind)
        stored = self._connection.execute(_OF_NAME, (name,)).fetchall()
        for _, wrapped in stored:
            if self._gone.get(hashlib.sha256(wrapped).digest()) is None:
                key = self._sealer.open(wrapped, subject, purpose=PURPOSE)
                return self._keys.learn((subject, kind), key)
        if not stored and not self._warned:
            self._warn_of_lost(subject, kind)
        key = self._entropy.random(KEY_BYTES)
        self._stage.write(PUT_SUBJECT_KEY, (name, self._sealer.seal(key, subject, purpose=PURPOSE)))
        self._keys.put((subject, kind), key)
        return key

    def _warn_of_lost(self, subject: str, kind: EventClass) -> None:
        """Say so once if something is sealed for whom no key is left: the file is not the one of these books.

        Looks at the newest thousands of the subject's entries; `audit verify` opens all that there are.
        """
        lost = next(held(self._books, subject, [kind], newest_tiles(self._books, subject, LOOKED_AT)), None)
        if lost is not None:
            self._warned = True
            log.warning(
                "subjects' keys are missing: entry %d of the log cannot be opened, nor others perhaps; a new"
                " key was made for what comes. Is subjects.sqlite an old copy? Stop, put the newest back,"
                " and look: macroslow audit verify",
                lost.index,
            )

    def _overwrite(self, due: Iterable[tuple[bytes, bytes]]) -> None:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            for name, sha256 in due:
                for n, wrapped in self._connection.execute(_OF_NAME, (name,)).fetchall():
                    if hashlib.sha256(wrapped).digest() == sha256:
                        self._connection.execute(_OVERWRITE, (n,))
            self._connection.execute("COMMIT")
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise


def _emptied(connection: sqlite3.Connection, wait_ms: int) -> bool:
    """Fold the write-ahead log into the file and cut it to nothing, unless a reader needs it."""
    (usual_ms,) = connection.execute("PRAGMA busy_timeout").fetchone()
    connection.execute(f"PRAGMA busy_timeout = {wait_ms}")
    (busy, _, _) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    connection.execute(f"PRAGMA busy_timeout = {usual_ms}")
    return not busy


def key_name(subject: str, kind: EventClass) -> bytes:
    """Return what a key is found under: SHA-256 of the class (one byte) and the subject's name."""
    return hashlib.sha256(bytes([kind]) + subject.encode()).digest()


Unwrap = Callable[[str, bytes], bytes]
"""Subject and wrapped key -> the subject's key."""


class Keys:
    """The keys as one snapshot of a reader has them."""

    def __init__(self, connection: sqlite3.Connection, unwrap: Unwrap) -> None:
        self._connection = connection
        self._unwrap = unwrap
        self._gone = {sha256 for _, sha256 in connection.execute(_DUE)}
        self._known: dict[_Key, bytes | None] = {}

    def key(self, subject: str, kind: EventClass) -> bytes | None:
        """Return the subject's key; None if there is none any more."""
        known = (subject, kind)
        if known not in self._known:
            self._known[known] = self._stored(subject, kind)
        return self._known[known]

    def _stored(self, subject: str, kind: EventClass) -> bytes | None:
        query = "SELECT n, wrapped FROM subjects.keys WHERE name = ?"
        for _, wrapped in self._connection.execute(query, (key_name(subject, kind),)).fetchall():
            if hashlib.sha256(wrapped).digest() not in self._gone:
                with suppress(DecryptionFailedError):  # altered, or another's: as good as gone
                    return self._unwrap(subject, wrapped)
        return None


def cached_unwrap(sealer: Sealer) -> Unwrap:
    """Return (subject, wrapped) -> key for readers: what is stored decides, so an erased key is gone."""

    @lru_cache(READER_KEYS)
    def unwrap(subject: str, wrapped: bytes) -> bytes:
        return sealer.open(wrapped, subject, purpose=PURPOSE)

    return unwrap
