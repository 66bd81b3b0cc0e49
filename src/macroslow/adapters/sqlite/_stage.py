"""What a batch will write and what the writer believes meanwhile, each list of changes whole or not at all.

Nothing is written while lists are decided: their rows wait here, and a refused list's are dropped. So
one list costs no statement of its own, and the rows of a batch go to SQLite statement by statement.
"""

import sqlite3
from collections.abc import Callable, Hashable, Iterable
from typing import Any, Final, Generic, TypeVar

from macroslow.adapters.sqlite._statements import IN_ORDER, OF_SUBJECTS

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

Row = tuple[Any, ...]
Undo = tuple[dict[Any, Any], Any, Any]
"""A cache's values, a key and what stood there before (None: nothing)."""

MAX_CACHED: Final = 50_000
"""A cache is emptied when it passes this, between batches."""


class Cache(Generic[K, V]):
    """Values by key, read through from the store. What a list sets or removes is undone if it is refused.

    `get` returns the newest value, or None if it is not known. It is the dictionary's own: a call of a
    client looks a dozen things up.
    """

    def __init__(self, undo: list[Undo]) -> None:
        self._values: dict[K, V] = {}
        self._undo = undo
        self.get: Callable[[K], V | None] = self._values.get

    def learn(self, key: K, value: V) -> V:
        """Remember what the store holds."""
        self._values[key] = value
        return value

    def put(self, key: K, value: V) -> None:
        """Set what this list of changes makes of it."""
        self._undo.append((self._values, key, self._values.get(key)))
        self._values[key] = value

    def take(self, key: K) -> V | None:
        """Remove and return the value, or None if there is none."""
        value = self._values.pop(key, None)
        if value is not None:
            self._undo.append((self._values, key, value))
        return value

    def clear(self) -> None:
        """Know nothing any more."""
        self._values.clear()

    def trim(self) -> None:
        """Start afresh if it has grown too large."""
        if len(self._values) > MAX_CACHED:
            self._values.clear()


class Stage:
    """The rows of one batch, those of an undecided list last."""

    def __init__(self) -> None:
        self.undo: list[Undo] = []
        self._rows: dict[str, list[Row]] = {statement: [] for statement in (*OF_SUBJECTS, *IN_ORDER)}
        self._undecided: list[list[Row]] = []  # where each row of the list went

    def write(self, statement: str, row: Row) -> None:
        """Have `row` written with the batch, if the list stands."""
        rows = self._rows[statement]
        rows.append(row)
        self._undecided.append(rows)

    def rows(self, statement: str) -> list[Row]:
        """Return the batch's rows of one statement, to read or, when all lists are decided, to add to."""
        return self._rows[statement]

    def keep(self) -> None:
        """The list stands."""
        self._undecided.clear()
        self.undo.clear()

    def drop(self) -> None:
        """The list is refused: everything is as before it."""
        for rows in self._undecided:
            rows.pop()
        for values, key, before in reversed(self.undo):
            if before is None:
                del values[key]
            else:
                values[key] = before
        self.keep()

    def flush(self, connection: sqlite3.Connection, statements: Iterable[str]) -> None:
        """Write all rows of these statements, in their order."""
        for statement in statements:
            rows = self._rows[statement]
            if rows:
                connection.executemany(statement, rows)

    def clear(self) -> None:
        """The batch is over."""
        self.keep()
        for rows in self._rows.values():
            rows.clear()
