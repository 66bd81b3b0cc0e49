"""One bounded memory for several owners: who has most in it forgets first, and the oldest of what he has.

So an owner with no more than an equal share never loses anything to the others, whatever they bring.
Pure bookkeeping: when something is too old to be used, whoever asks for it knows.
"""

from typing import Generic, TypeVar

V = TypeVar("V")


class FairMemory(Generic[V]):
    """At most `capacity` values, each by a key (no two owners have the same one)."""

    def __init__(self, capacity: int) -> None:
        if capacity < 1:
            raise ValueError("a capacity below 1")
        self._capacity = capacity
        self._owners: dict[bytes, str] = {}
        self._held: dict[str, dict[bytes, V]] = {}

    def __len__(self) -> int:
        return len(self._owners)

    def pop(self, key: bytes) -> V | None:
        """The value, which is forgotten; None: there is none."""
        owner = self._owners.pop(key, None)
        return None if owner is None else self._held[owner].pop(key)

    def put(self, owner: str, key: bytes, held: V) -> None:
        """Keep the value as the newest of its owner. Costs more than that only where something must go."""
        self.pop(key)
        self._owners[key] = owner
        self._held.setdefault(owner, {})[key] = held
        if len(self._owners) > self._capacity:
            most = max(self._held.values(), key=len)
            self.pop(next(iter(most)))
