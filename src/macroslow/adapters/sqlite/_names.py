"""Identifiers as numbers: each is stored once."""

import sqlite3

from macroslow.adapters.sqlite._stage import OF_BATCH, Cache, Stage
from macroslow.adapters.sqlite._statements import PUT_NAME, RENAME
from macroslow.errors import ConflictError


class Names:
    """The `names` table, for the writer."""

    def __init__(self, connection: sqlite3.Connection, stage: Stage) -> None:
        self._connection = connection
        self._stage = stage
        self._numbers = Cache[str, int](stage)
        self._renamed = Cache[str, bool](stage, OF_BATCH)  # by this batch: what the store has is out of date
        self._next = 0
        self.reload()

    def number(self, name: str) -> int:
        """Return the number of `name`, giving it one if it is new."""
        number = self._numbers.get(name)
        return self._number_in_store(name) if number is None else number

    def known(self, name: str) -> int | None:
        """Return the number of `name` if it has one."""
        number = self._numbers.get(name)
        if number is None and self._renamed.get(name) is None:
            row = self._connection.execute("SELECT n FROM names WHERE name = ?", (name,)).fetchone()
            number = None if row is None else self._numbers.learn(name, row[0])
        return number

    def name(self, number: int) -> str:
        """Return the name of a number that is stored."""
        (name,) = self._connection.execute("SELECT name FROM names WHERE n = ?", (number,)).fetchone()
        return str(name)

    def rename(self, name: str, after: str) -> None:
        """Let what `name` stands for have another name from now on; ConflictError if that is taken."""
        number = self.known(name)
        if number is None:
            return
        if self.known(after) is not None:
            raise ConflictError(f"{after} is somebody's name already")
        self._stage.write(RENAME, (after, number))
        self._numbers.take(name)
        self._renamed.put(name, True)

    def reload(self) -> None:
        self._numbers.clear()
        self._renamed.clear()
        (self._next,) = self._connection.execute("SELECT coalesce(max(n), 0) + 1 FROM names").fetchone()

    def _number_in_store(self, name: str) -> int:
        number = self.known(name)
        if number is None:
            number, self._next = self._next, self._next + 1  # a refused list leaves a gap, no harm
            self._numbers.put(name, number)
            self._stage.write(PUT_NAME, (number, name))
        return number
