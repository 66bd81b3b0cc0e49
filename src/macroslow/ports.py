"""What every layer may ask of the world: a clock, entropy, fresh names and the keeper of the signing keys."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

NS_PER_MS: Final = 1_000_000
NS_PER_S: Final = 1_000 * NS_PER_MS
MINUTE_NS: Final = 60 * NS_PER_S
HOUR_NS: Final = 60 * MINUTE_NS
DAY_NS: Final = 24 * HOUR_NS
"""Clocks here tell nanoseconds; files, protocols and timers take seconds."""
MIB: Final = 1024 * 1024
_POOLED_NAMES: Final = 256
Progress = Callable[[int, int], None]
"""Long work tells it how far it is: so much is done, of so much. What it raises ends the work."""


def unheard(_done: int, _of: int) -> None:
    """The progress of work that nobody watches."""


class Clock(Protocol):
    """The only source of time."""

    def now_ns(self) -> int:
        """Nanoseconds since 1970-01-01 UTC; may jump when the machine's clock is set."""
        ...

    def monotonic_ns(self) -> int:
        """Nanoseconds that never run backwards; meaningless across processes."""
        ...


class Entropy(Protocol):
    """The only source of randomness."""

    def random(self, size_bytes: int) -> bytes:
        """Return fresh bytes from the system's generator."""
        ...


class FreshNames:
    """Unguessable names, each of so many bytes in hexadecimal digits.

    The generator is asked once in 256 times: asking lets other threads run before it goes on.
    """

    def __init__(self, entropy: Entropy, size_bytes: int) -> None:
        self._entropy = entropy
        self._size_bytes = size_bytes
        self._names: list[str] = []

    def next(self) -> str:
        """One that was never given before."""
        if not self._names:
            pool = self._entropy.random(_POOLED_NAMES * self._size_bytes)
            self._names = pool.hex(":", self._size_bytes).split(":")
        return self._names.pop()


@dataclass(frozen=True, slots=True)
class Statement:
    """What the gateway says about one of its own actions: plain JSON facts under a fixed purpose.

    `claims` holds strings, integers, booleans, null, lists and string-keyed mappings of these.
    """

    claims: Mapping[str, object]


class Signer(Protocol):
    """Keeper of the gateway's own keys. It takes statements, never bytes, and can sign no document."""

    async def checkpoint(self, size: int, root: bytes, proof: Sequence[bytes]) -> bytes:
        """Return the signed note for a tree of `size` entries.

        `proof` is the consistency proof from the last size signed; raises VerificationError
        unless the new tree extends that one.
        """
        ...

    async def answer(self, statement: Statement) -> str:
        """Return a JWS (`typ` macroslow-answer+jws) over the statement."""
        ...

    async def history(self, statement: Statement) -> str:
        """Return a JWS (`typ` macroslow-history+jws) over the statement."""
        ...
