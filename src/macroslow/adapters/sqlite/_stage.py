"""What a batch will write and what the writer believes meanwhile, each list of changes whole or not at all.

Nothing is written while lists are decided: their rows wait here, and a refused list's are dropped. So
one list costs no statement of its own, and the rows of a batch go to SQLite statement by statement.
"""

import sqlite3
from collections.abc import Callable, Hashable, Iterable
from itertools import chain, compress
from typing import Any, Final, Generic, TypeVar

from macroslow.adapters.sqlite._statements import IN_ORDER, OF_MANY_ROWS, OF_SUBJECTS, with_rows

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

Row = tuple[Any, ...]
Undo = tuple[dict[Any, Any] | list[Row], Any, Any]
"""A cache's values, a key and what stood there before (None: nothing); or rows of which the last is to go."""

MAX_CACHED: Final = 50_000
"""A cache is emptied when it passes this, between batches."""
OF_BATCH: Final = 0
"""Of a cache that knows nothing beyond its batch."""

ROWS_AT_ONCE: Final = 16
"""In one statement: each of its own length is prepared and kept, a few KiB."""


class Cache(Generic[K, V]):
    """Values by key, read through from the store. What a list sets or removes is undone if it is refused.

    `get` returns the newest value, or None if it is not known. It is the dictionary's own: a call of a
    client looks a dozen things up.
    """

    def __init__(self, stage: "Stage", most: int | None = MAX_CACHED) -> None:
        """It holds no more than `most` between batches; None: all, for ever."""
        self._values: dict[K, V] = {}
        self._undo = stage.undo
        self.get: Callable[[K], V | None] = self._values.get
        if most is not None:
            stage.bounded.append((self._values, most))

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


class Stage:
    """The rows of one batch, those of an undecided list last."""

    def __init__(self) -> None:
        self.undo: list[Undo] = []  # what the undecided list did
        self.bounded: list[tuple[dict[Any, Any], int]] = []  # what caches hold, and how much at most
        self._rows: dict[str, list[Row]] = {statement: [] for statement in (*OF_SUBJECTS, *IN_ORDER)}

    def write(self, statement: str, row: Row) -> None:
        """Have `row` written with the batch, if the list stands."""
        rows = self._rows[statement]
        rows.append(row)
        self.undo.append((rows, None, None))

    def rows(self, statement: str) -> list[Row]:
        """Return the rows of one statement, to read or, when all lists are decided, to add to.

        It is the same list in every batch.
        """
        return self._rows[statement]

    def keep(self) -> None:
        """The list stands."""
        self.undo.clear()

    def drop(self) -> None:
        """The list is refused: everything is as before it."""
        for values, key, before in reversed(self.undo):
            if isinstance(values, list):
                values.pop()
            elif before is None:
                del values[key]
            else:
                values[key] = before
        self.keep()

    def flush(self, connection: sqlite3.Connection, statements: Iterable[str]) -> None:
        """Write all rows of these statements, in their order.

        Many in one step, where the statement can: between two steps the event loop may take the interpreter.
        """
        due = list(statements)
        for statement in compress(due, map(self._rows.__getitem__, due)):
            rows = self._rows[statement]
            if statement not in OF_MANY_ROWS:
                connection.executemany(statement, rows)
                continue
            for at in range(0, len(rows), ROWS_AT_ONCE):
                some = rows[at : at + ROWS_AT_ONCE]
                connection.execute(with_rows(statement, len(some)), [*chain.from_iterable(some)])

    def clear(self) -> None:
        """The batch is over."""
        self.keep()
        for rows in filter(None, self._rows.values()):
            rows.clear()
        for values, most in self.bounded:
            if len(values) > most:
                values.clear()
