"""What a writer knows or has yet to write, with the newest part revocable list by list."""

from collections.abc import Hashable, Mapping
from typing import Final, Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

MAX_KNOWN: Final = 50_000


class Staged(Generic[K, V]):
    """A cache in three stages: known (committed), changed (by this batch) and fresh (by this list)."""

    def __init__(self) -> None:
        self._known: dict[K, V] = {}
        self._changed: dict[K, V] = {}
        self._fresh: dict[K, V] = {}

    def get(self, key: K) -> V | None:
        """Return the newest value."""
        for stage in (self._fresh, self._changed, self._known):
            if key in stage:
                return stage[key]
        return None

    def learn(self, key: K, value: V) -> V:
        """Remember what was read from the store."""
        self._known[key] = value
        return value

    def put(self, key: K, value: V) -> None:
        """Set a value that this list of changes made."""
        self._fresh[key] = value

    def changed(self) -> Mapping[K, V]:
        """Return what the kept lists of this batch made."""
        return self._changed

    def keep(self) -> None:
        """The list stands."""
        if self._fresh:
            self._changed.update(self._fresh)
            self._fresh.clear()

    def drop(self) -> None:
        """The list is refused."""
        self._fresh.clear()

    def committed(self) -> None:
        """The batch is durable."""
        if len(self._known) > MAX_KNOWN:
            self._known.clear()
        self._known.update(self._changed)
        self._changed.clear()

    def forget(self) -> None:
        """Know nothing: the batch failed, or another process wrote."""
        self._known.clear()
        self._changed.clear()
        self._fresh.clear()
