"""Subjects' keys: one for each class of events, made on first use, stored wrapped.

They stand in a schema of their own. Deleting a row erases what was sealed of the subject in that class.
"""

from typing import Final

from macroslow.adapters.postgres._link import Connection
from macroslow.adapters.postgres._state import Tables
from macroslow.crypto.rows import KEY_BYTES
from macroslow.ports import Entropy
from macroslow.secretstore.ports import Sealer
from macroslow.tlog.event import EventClass

PURPOSE: Final = "subject-key"
MAX_KEYS: Final = 4_096

_ANY: Final = "SELECT subject, wrapped FROM macroslow_subjects.keys LIMIT 1"


class SubjectKeys:
    """Opens and makes subjects' keys. What is stored decides which one is in force."""

    def __init__(self, sealer: Sealer, entropy: Entropy) -> None:
        self._sealer = sealer
        self._entropy = entropy
        self._opened: dict[tuple[str, bytes], bytes] = {}

    def unwrap(self, subject: str, wrapped: bytes) -> bytes:
        """Return the subject's 32-byte key. DecryptionFailedError if what is stored does not open."""
        key = self._opened.get((subject, wrapped))
        if key is None:
            key = self._sealer.open(wrapped, subject, purpose=PURPOSE)
            self._remember(subject, wrapped, key)
        return key

    def key(self, state: Tables, subject: str, kind: EventClass) -> bytes:
        """Return the key that a batch seals events of this class with, making one if there is none."""
        wrapped = state.subject_keys.get((subject, kind))
        if wrapped is not None:
            return self.unwrap(subject, wrapped)
        key = self._entropy.random(KEY_BYTES)
        wrapped = self._sealer.seal(key, subject, purpose=PURPOSE)
        state.subject_keys.put((subject, kind), wrapped)
        self._remember(subject, wrapped, key)
        return key

    async def check(self, connection: Connection) -> None:
        """DecryptionFailedError if the keys that are stored were sealed by another gateway's."""
        for subject, wrapped in await connection.fetch(_ANY):
            self.unwrap(subject, wrapped)

    def forget(self) -> None:
        """Keep no opened key: some of them were erased."""
        self._opened.clear()

    def _remember(self, subject: str, wrapped: bytes, key: bytes) -> None:
        if len(self._opened) >= MAX_KEYS:
            self._opened.clear()
        self._opened[subject, wrapped] = key
