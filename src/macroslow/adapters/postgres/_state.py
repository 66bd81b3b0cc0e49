"""Everything that a batch decides on: what was found in the store for it, and what it makes of that."""

from dataclasses import dataclass
from typing import Any, Final

from macroslow.adapters.postgres._rows import Rows, Undo
from macroslow.authn.jwt.revoked import Revocation
from macroslow.authn.ports import DropKey, KeyRecord, PutKeyUse, SignerRecord
from macroslow.metering.ledger import Account
from macroslow.tlog.event import EventClass, EventType
from macroslow.tlog.ports import Kept, StoreAnchor
from macroslow.tlog.tree import Edge
from macroslow.workflow.journal import AcceptRun, RunState
from macroslow.workflow.replies import BindId, ClaimReply

Settlement = tuple[int, int, int, int, int]
"""settled_ns, outcome, input_tokens, output_tokens, usd_micros: the columns in their order."""


@dataclass(frozen=True, slots=True)
class Call:
    """One row of `calls`. `labels`: the numbers of principal, key, team, provider, model, tag, run, owner."""

    account: str
    budgets: tuple[str, ...]
    usd_micros: int
    created_ns: int
    expires_ns: int
    labels: tuple[int, ...]
    settlement: Settlement | None = None


@dataclass(frozen=True, slots=True)
class RunRow:
    """A run as it stands; `accepted` with its index only where this batch accepted it."""

    state: RunState
    accepted: tuple[AcceptRun, int] | None = None
    finished: tuple[int, int] | None = None  # finished_ns and the index of its entry


@dataclass(frozen=True, slots=True)
class PartRow:
    """One row of `parts`, without its place."""

    subject: int
    sealed: bytes


@dataclass(frozen=True, slots=True)
class EntryRow:
    """One row of `entries`, without its index, and its rows of `parts`."""

    leaf: bytes
    payload: bytes
    subject: int
    parts: tuple[PartRow, ...] = ()


@dataclass(frozen=True, slots=True)
class ReplyRow:
    """One row of `replies`: the claim, and the sealed answer once there is one."""

    claim: ClaimReply
    sealed: bytes | None = None


@dataclass(frozen=True, slots=True)
class Erasure:
    """What is to be done to the stored rows of a subject. `number` is None for a name that was never seen.

    Entry `index` tells of it. `pseudonym` is None if something of the subject's is still held.
    """

    subject: str
    number: int | None
    classes: frozenset[EventClass]
    index: int
    pseudonym: str | None


ReplyKey = tuple[str, str]
"""Principal and key."""

CHECKPOINT: Final = "newest"


class Tables:
    """The tables as one batch sees them, by key. `edge` is that of the stored log and is not changed.

    `held`: of whom is to be erased, how many stored entries of each type hold something.
    """

    def __init__(self, edge: Edge, last_name: int) -> None:
        self.undo = undo = Undo()
        self.edge = edge
        self.size = edge.head().size
        self._last_name = last_name
        self.names = Rows[str, int](undo)
        self.accounts = Rows[str, Account](undo)
        self.calls = Rows[str, Call](undo)
        self.subject_keys = Rows[tuple[str, EventClass], bytes](undo)
        self.held = Rows[tuple[str, EventType], int](undo)
        self.erasures = Rows[str, Erasure](undo)
        self.entries = Rows[int, EntryRow](undo)
        self.checkpoint = Rows[str, tuple[int, bytes]](undo)
        self.anchors = Rows[int, StoreAnchor](undo)
        self.receipts = Rows[str, Kept](undo)
        self.expired_receipts: list[str] = []
        self.runs = Rows[str, RunRow](undo)
        self.objects = Rows[tuple[str, str], tuple[str, bytes]](undo)
        self.keys = Rows[str, KeyRecord](undo)
        self.key_uses = Rows[str, int](undo)
        self.signers = Rows[str, SignerRecord](undo)
        self.revocations = Rows[str, Revocation](undo)
        self.replies = Rows[ReplyKey, ReplyRow](undo)
        self.expired: list[ReplyKey] = []
        self.bound_ids = Rows[str, BindId](undo)
        self.names.learn("", 0)

    @property
    def next_index(self) -> int:
        """The index that the next entry of the log gets."""
        return self.size + len(self.entries.changed)

    @property
    def changed(self) -> bool:
        """Whether there is anything to write."""
        tables: tuple[Rows[Any, Any], ...] = (
            self.names, self.accounts, self.calls, self.entries, self.checkpoint, self.anchors,
            self.receipts, self.runs, self.objects, self.keys, self.key_uses, self.signers,
            self.revocations, self.replies, self.bound_ids,
        )  # fmt: skip
        return any(table.changed for table in tables)

    def note_use(self, change: PutKeyUse) -> None:
        """A key was used: of several times in one batch the last is kept."""
        self.key_uses.put(change.key_id, max(change.used_ns, self.key_uses.get(change.key_id) or 0))

    def drop_key(self, change: DropKey) -> None:
        """A key is forgotten, and when it was used."""
        self.keys.put(change.id, None)
        self.key_uses.put(change.id, None)

    def number(self, name: str) -> int:
        """Return the number of `name`, giving it one if it is new."""
        number = self.names.get(name)
        if number is None:
            number = self._last_name = self._last_name + 1  # a refused list leaves a gap, no harm
            self.names.put(name, number)
        return number
