"""Identifiers as numbers: each is stored once."""

import sqlite3

from macroslow.adapters.sqlite._staged import Staged


class Names:
    """The `names` table, for the writer."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._numbers = Staged[str, int]()
        self._names = Staged[int, str]()

    def number(self, name: str) -> int:
        """Return the number of `name`, giving it one if it is new."""
        number = self._numbers.get(name)
        return self._number_in_store(name) if number is None else number

    def name(self, number: int) -> str:
        """Return the name with this number."""
        name = self._names.get(number)
        if name is None:
            (name,) = self._connection.execute("SELECT name FROM names WHERE n = ?", (number,)).fetchone()
            self._names.learn(number, name)
        return name

    def _number_in_store(self, name: str) -> int:
        row = self._connection.execute("SELECT n FROM names WHERE name = ?", (name,)).fetchone()
        number: int
        if row is not None:
            (number,) = row
            return self._numbers.learn(name, number)
        insert = "INSERT INTO names (name) VALUES (?) RETURNING n"
        ((number,),) = self._connection.execute(insert, (name,)).fetchall()
        self._numbers.put(name, number)
        self._names.put(number, name)
        return number

    def keep(self) -> None:
        self._numbers.keep()
        self._names.keep()

    def drop(self) -> None:
        self._numbers.drop()
        self._names.drop()

    def committed(self) -> None:
        self._numbers.committed()
        self._names.committed()

    def forget(self) -> None:
        self._numbers.forget()
        self._names.forget()
