"""Erasure of a subject, as the writer makes it. It is first in its batch, so the store says all there is."""

import sqlite3
from typing import Final

from macroslow.adapters.sqlite._held import Held, held
from macroslow.adapters.sqlite._log import PARTS_OF_ENTRY, Log
from macroslow.adapters.sqlite._names import Names
from macroslow.adapters.sqlite._stage import Stage
from macroslow.adapters.sqlite._statements import (
    ERASE_BOUND_IDS,
    ERASE_ENTRY,
    ERASE_OBJECTS,
    ERASE_PART,
    ERASE_RECEIPTS,
    ERASE_REPLIES,
)
from macroslow.adapters.sqlite._subjects import Subjects
from macroslow.errors import ConflictError
from macroslow.tlog.event import EventClass
from macroslow.tlog.leaf import erased_bytes
from macroslow.tlog.ports import EraseSubject

_PARTS: Final = """
SELECT n, subject, length(sealed) FROM parts
WHERE n >= ? AND n < ? AND substr(sealed, 9, 8) <> zeroblob(8)
"""
_WORK: Final = (ERASE_OBJECTS, ERASE_REPLIES, ERASE_BOUND_IDS, ERASE_RECEIPTS)


class Erasing:
    """Overwrites what a subject's keys sealed, has the keys destroyed and the name replaced."""

    def __init__(
        self, connection: sqlite3.Connection, stage: Stage, names: Names, subjects: Subjects, log: Log
    ) -> None:
        self._connection = connection
        self._stage = stage
        self._names = names
        self._subjects = subjects
        self._log = log

    def erase(self, change: EraseSubject) -> None:
        found = list(held(self._connection, change.subject, change.classes))
        if len(found) != change.entries:
            raise ConflictError(
                f"there are {len(found)} entries to erase, not {change.entries}: some came or went meanwhile"
            )
        number = self._names.known(change.subject)
        if number is None:
            return
        for one in found:
            self._erase(one, number)
        self._subjects.erase(change.subject, change.classes)
        if EventClass.ACTIVITY in change.classes:
            for statement in _WORK:
                self._stage.write(statement, (number,))
        others = frozenset(EventClass) - change.classes
        if next(held(self._connection, change.subject, others), None) is None:
            self._names.rename(change.subject, change.pseudonym)

    def _erase(self, one: Held, subject: int) -> None:
        marker = erased_bytes(self._log.next_index)
        if one.whole:
            self._stage.write(ERASE_ENTRY, (marker.ljust(one.payload_bytes, b"\0"), one.index))
        first = one.index * PARTS_OF_ENTRY
        for n, whose, sealed_bytes in self._connection.execute(_PARTS, (first, first + PARTS_OF_ENTRY)):
            if one.whole or whose == subject:
                left = marker.ljust(sealed_bytes, b"\0")
                self._stage.write(ERASE_PART, (0 if one.whole else subject, left, n))
