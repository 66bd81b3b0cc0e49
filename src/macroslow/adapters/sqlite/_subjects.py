"""Subjects' keys: one each, made on first use, stored wrapped. Deleting the row erases the subject."""

import sqlite3
from collections.abc import Callable
from functools import lru_cache
from typing import Final

from macroslow.adapters.sqlite._names import Names
from macroslow.adapters.sqlite._stage import Cache, Stage
from macroslow.adapters.sqlite._statements import PUT_SUBJECT_KEY
from macroslow.crypto.rows import KEY_BYTES
from macroslow.ports import Entropy
from macroslow.secretstore.ports import Sealer

PURPOSE: Final = "subject-key"
READER_KEYS: Final = 4_096


class Subjects:
    """The `subject_keys` table, for the writer."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        stage: Stage,
        names: Names,
        sealer: Sealer,
        entropy: Entropy,
    ) -> None:
        self._connection = connection
        self._stage = stage
        self._names = names
        self._sealer = sealer
        self._entropy = entropy
        self._keys = Cache[str, bytes](stage.undo)

    def key(self, subject: str) -> bytes:
        """Return the subject's 32-byte key. DecryptionFailedError if what is stored does not open."""
        key = self._keys.get(subject)
        return self._key_in_store(subject) if key is None else key

    def _key_in_store(self, subject: str) -> bytes:
        number = self._names.number(subject)
        query = "SELECT wrapped FROM subject_keys WHERE subject = ?"
        row = self._connection.execute(query, (number,)).fetchone()
        if row is not None:
            return self._keys.learn(subject, self._sealer.open(row[0], subject, purpose=PURPOSE))
        key = self._entropy.random(KEY_BYTES)
        wrapped = self._sealer.seal(key, subject, purpose=PURPOSE)
        self._stage.write(PUT_SUBJECT_KEY, (number, wrapped))
        self._keys.put(subject, key)
        return key

    def committed(self) -> None:
        self._keys.trim()

    def reload(self) -> None:
        self._keys.clear()


def cached_unwrap(sealer: Sealer) -> Callable[[str, bytes], bytes]:
    """Return (subject, wrapped) -> key for readers: what is stored decides, so an erased key is gone."""

    @lru_cache(READER_KEYS)
    def unwrap(subject: str, wrapped: bytes) -> bytes:
        return sealer.open(wrapped, subject, purpose=PURPOSE)

    return unwrap
