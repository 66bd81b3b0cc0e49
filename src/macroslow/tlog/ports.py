"""The log as the rest sees it: entries, and what is needed to prove one."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from macroslow.tlog.event import Event
from macroslow.values import value


@value
class Append:
    """Add one event to the log, as a leaf."""

    event: Event


@value
class Entry:
    """One entry as it was committed: `event` (canonical bytes) and `salt` open `leaf` (78 bytes)."""

    index: int
    leaf: bytes
    event: bytes
    salt: bytes


@dataclass(frozen=True, slots=True)
class TreeHead:
    """Size and root hash (32 bytes) of the log at one moment."""

    size: int
    root: bytes


@dataclass(frozen=True, slots=True)
class StoreCheckpoint:
    """Keep the signed note for a tree of `size` entries."""

    size: int
    note: bytes


class LogReader(Protocol):
    """Reading the log. Values are those of the last commit."""

    async def head(self) -> TreeHead: ...

    async def checkpoint(self) -> tuple[int, bytes] | None:
        """Size and signed note of the newest stored checkpoint."""
        ...

    async def entry(self, index: int) -> Entry | None:
        """The opened entry; None if there is none. DecryptionFailedError if its key was erased."""
        ...

    async def leaves(self, start: int, end: int) -> list[bytes]:
        """The raw 78-byte leaves of [start, end)."""
        ...

    async def inclusion_proof(self, index: int, size: int) -> Sequence[bytes]:
        """Hashes (32 bytes each) that prove entry `index` in the tree of `size` (RFC 6962 section 2.1.1)."""
        ...

    async def consistency_proof(self, first: int, second: int) -> Sequence[bytes]:
        """Hashes that prove the tree of `first` a prefix of that of `second` (RFC 6962 section 2.1.2)."""
        ...
