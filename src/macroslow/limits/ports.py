"""What admission needs from outside when several processes share the provider's limits."""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, TypeVar

from macroslow.limits.rounds import Stored, Write

T = TypeVar("T")


class OutOfReachError(Exception):
    """The table did not answer. The text says why, and may say where it is: it is for the log."""


class RateTable(Protocol):
    """States by key, each with its change's stamp; for `services.calls.rate_rounds`, one call at a time."""

    async def read(self, keys: Sequence[str]) -> tuple[Mapping[str, Stored], int]:
        """What is stored of `keys`, and the store's own clock in ns since 1970. Raises OutOfReachError."""
        ...

    async def write(self, writes: Sequence[Write]) -> Sequence[str]:
        """Make those writes whose stamp is still the stored one; their keys. Raises OutOfReachError."""
        ...

    async def close(self) -> None:
        """Release the connections. Idempotent."""
        ...


class RateStore(Protocol):
    """A small state for each account and model, changed by one process at a time.

    States are opaque, at most 64 KiB, and worth a day at most: a store may lose them all at once (a
    restart), never one change of several, and never go back to an older one while it serves.
    """

    async def change(self, key: str, decide: Callable[[bytes | None, int], tuple[bytes | None, T]]) -> T:
        """Read, decide, write: atomically with respect to every other change of the same `key`.

        `decide` gets the stored state (None: there is none) and the store's own clock in nanoseconds
        since 1970, which no other process's clock enters into; it returns the state to store (None:
        store nothing, and forget what was stored) and the result. It is pure and quick, and may be
        called again with a newer state where the store works by optimistic locking: the result is
        that of the call whose state was written. What it raises comes out, and nothing was written.
        For one key the clock does not run backwards from one written change to the next.

        `key` is printable, 1 to 500 characters. Cancelling before the write leaves the state as it
        was; once the write is under way it may have been made. Raises OverloadedError if the store cannot
        be reached: nobody knows what is left then, so nothing may be let in.
        """
        ...
