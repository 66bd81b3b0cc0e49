"""What a batch believes of each table and what it will write, each list of changes whole or not at all.

Rows are kept by key and only their newest state is written: a call that is reserved and settled in one
batch becomes one row. Nothing is written while lists are decided; a refused list's changes are undone.
"""

from collections.abc import Hashable
from typing import Any, Final, Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

_ABSENT: Final = object()


class Undo:
    """How to go back to before the list of changes that is being decided."""

    def __init__(self) -> None:
        self._before: list[tuple[dict[Any, Any], Any, Any]] = []

    def note(self, values: dict[Any, Any], key: object) -> None:
        """Remember what stands at `key` before it is set."""
        self._before.append((values, key, values.get(key, _ABSENT)))

    def keep(self) -> None:
        """The list stands."""
        self._before.clear()

    def drop(self) -> None:
        """The list is refused: everything is as before it."""
        for values, key, before in reversed(self._before):
            if before is _ABSENT:
                del values[key]
            else:
                values[key] = before
        self._before.clear()


class Rows(Generic[K, V]):
    """One table: `changed` holds what the batch makes of it, None for a row that is to be deleted."""

    def __init__(self, undo: Undo) -> None:
        self._values: dict[K, V | None] = {}
        self.changed: dict[K, V | None] = {}
        self._undo = undo

    def learn(self, key: K, value: V) -> None:
        """Remember what the store holds."""
        self._values[key] = value

    def get(self, key: K) -> V | None:
        """Return the row as it is now, or None."""
        return self._values.get(key)

    def put(self, key: K, value: V | None) -> None:
        """Set what the list of changes makes of it; None deletes it."""
        for values in (self._values, self.changed):
            self._undo.note(values, key)
            values[key] = value

    def known(self) -> dict[K, V]:
        """Every row that is there, as it is now."""
        return {key: value for key, value in self._values.items() if value is not None}

    def written(self) -> list[tuple[K, V]]:
        """The rows to insert or to replace, in the order in which they were first changed."""
        return [(key, value) for key, value in self.changed.items() if value is not None]

    def deleted(self) -> list[K]:
        """The keys of the rows to delete."""
        return [key for key, value in self.changed.items() if value is None]
