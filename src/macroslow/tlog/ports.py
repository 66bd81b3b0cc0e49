"""The log as the rest sees it: entries, and what is needed to prove one."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from macroslow.tlog.event import Event, EventClass
from macroslow.values import value


@value
class Append:
    """Add one event to the log, as a leaf."""

    event: Event


@value
class OpenedPart:
    """What a shared event says about one more person: `part` (canonical bytes) and `salt` open its HMAC."""

    part: bytes
    salt: bytes


@value
class Entry:
    """One entry as it was committed: `event` (canonical bytes) and `salt` open `leaf` (78 bytes).

    `others` are the parts of a shared event, in the event's order; None where a person was erased.
    """

    index: int
    leaf: bytes
    event: bytes
    salt: bytes
    others: tuple[OpenedPart | None, ...] = ()


@dataclass(frozen=True, slots=True)
class TreeHead:
    """Size and root hash (32 bytes) of the log at one moment."""

    size: int
    root: bytes


@dataclass(frozen=True, slots=True)
class Mark:
    """What is noted outside the state folder, in the file `path`, of the last signature under one key.

    `signed_from` is the state folder that it was made in, empty if that is the reader's own or was not noted.
    `forked_to` names the log that this one was declared forked to, which ends it. Times are UTC texts.
    """

    head: TreeHead
    path: str
    signed_from: str = ""
    signed_at: str = ""
    forked_to: str = ""
    forked_at: str = ""


@dataclass(frozen=True, slots=True)
class StoreCheckpoint:
    """Keep the signed note for a tree of `size` entries, in place of the one of this size; older are dropped.

    One of a smaller size than the newest is not kept. ValueError for a size that was never committed.
    """

    size: int
    note: bytes


@dataclass(frozen=True, slots=True)
class StoreAnchor:
    """Keep a checkpoint that a third party dated: `token` is its RFC 3161 time-stamp response over `note`.

    The first of a size stays. ValueError for a size that was never committed.
    """

    size: int
    note: bytes
    token: bytes


@dataclass(frozen=True, slots=True)
class KeepReceipt:
    """Remember until `expires_ns` that this list's entry before it proves the answer to a request.

    ValueError without one. Kept again by the same principal (a fall-back's answer), it is as kept last;
    ConflictError by another, unless it expired before that entry. Each drops two that expired by then.
    """

    request_id: str
    principal: str
    expires_ns: int


@dataclass(frozen=True, slots=True)
class EraseSubject:
    """Destroy the subject's keys of these `classes`, and the ciphertext of all that they sealed in the log.

    It comes first in its list, and the list's next entry is the event that says so (else ValueError): what is
    erased names its index. An entry of the subject's goes whole, with its parts (one that was erased before
    still names its own event); of others' shared events the subject's part goes. `entries` is the number of
    both (`held_entries`) that the event tells of: ConflictError if there are others by now, and nothing is
    erased. With ACTIVITY among the classes all else that is kept of the subject's work goes too: what runs
    stored, kept answers and receipts, bound ids. Once nothing is left in the log that the subject's keys
    open, `pseudonym` takes the place of the subject's name (ConflictError if it is somebody's). Seen again,
    the subject is somebody new, with new keys.
    """

    subject: str
    classes: frozenset[EventClass]
    entries: int
    pseudonym: str


@dataclass(frozen=True, slots=True)
class HeldEntry:
    """One entry in which something of a subject's is sealed and not erased.

    `places`, ascending: 0 is all of it, 1 + its position one part that is the subject's.
    """

    index: int
    type: int
    time_ns: int
    places: tuple[int, ...] = (0,)


@dataclass(frozen=True, slots=True)
class Kept:
    """What `KeepReceipt` remembers: whose answer it is and the index of its entry."""

    principal: str
    index: int
    expires_ns: int


class LogReader(Protocol):
    """Reading the log. Values are those of the last commit."""

    async def head(self) -> TreeHead: ...

    async def checkpoint(self) -> tuple[int, bytes] | None:
        """Size and signed note of the newest stored checkpoint."""
        ...

    async def anchor(self, index: int) -> StoreAnchor | None:
        """The oldest anchor whose tree holds entry `index`."""
        ...

    async def newest_anchor(self) -> StoreAnchor | None: ...

    async def kept_receipt(self, request_id: str) -> Kept | None:
        """What was kept of this request, also if it expired."""
        ...

    async def held_entries(
        self, subject: str, classes: frozenset[EventClass], start: int, limit: int
    ) -> list[HeldEntry]:
        """Up to `limit` of the entries that `EraseSubject` would erase, ascending from index `start`."""
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
