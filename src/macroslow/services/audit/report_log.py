"""What the log holds about one person, between two checkpoints: what is there, and what is not.

Every entry of the range is opened, and what counts is what the sealed event says, not the index beside it:
so "none" means that all were read. What was erased cannot be read, whoever it was about; the report says
how much of that there is, and which entries tell of it. Counts only are kept: a range may have millions; and
names, up to a bound, for whoever mistyped one: of a name that the log does not know "none" says little.

A range begins after one checkpoint (of nothing, unless an earlier one is brought) and ends with another.
Both are signed and one extends the other, so a report can be made again and must say the same, as far as
nothing was erased meanwhile.
"""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from macroslow.errors import BadRequestError, VerificationError
from macroslow.ports import NS_PER_S, Progress, unheard
from macroslow.services.audit.known_names import held_as, is_known, near
from macroslow.services.verbs import utc
from macroslow.tlog.checkpoint import Checkpoint
from macroslow.tlog.event import EventType, name_of
from macroslow.tlog.tree import verify_consistency
from macroslow.workflow.books import Books, LoggedEvent, Wanted

PIECE: Final = 100  # entries opened at once: others who read the books wait for no more
MAX_NAMED: Final = 1_000  # entries that a report names, of each kind
MAX_NAMES: Final = 10_000  # of subjects, among which one that was mistyped is looked for


@dataclass(frozen=True, slots=True)
class Asked:
    """About whom, and when: events of `from_ns` on and before `until_ns`."""

    subject: str
    from_ns: int
    until_ns: int


@dataclass(slots=True)
class Span:
    """How many, and the first and the last of them: index and time."""

    entries: int = 0
    first: tuple[int, int] = (0, 0)
    last: tuple[int, int] = (0, 0)

    def add(self, entry: LoggedEvent) -> None:
        """Count one more; entries come in order."""
        self.last = (entry.index, entry.time_ns)
        if not self.entries:
            self.first = self.last
        self.entries += 1

    def told(self) -> dict[str, object]:
        """As JSON."""
        return {
            "entries": self.entries,
            "first_index": self.first[0],
            "first_at": utc(self.first[1]),
            "last_index": self.last[0],
            "last_at": utc(self.last[1]),
        }


@dataclass(slots=True)
class Tally:
    """What was counted so far. `erased_as` says of each entry that tells of erasures how many it did."""

    subject: str
    names: set[str] = field(default_factory=set)
    opened: int = 0
    about: dict[str, Span] = field(default_factory=dict)
    shared: dict[str, Span] = field(default_factory=dict)
    erased: dict[str, Span] = field(default_factory=dict)
    erased_as: Counter[int] = field(default_factory=Counter)
    others_erased_as: Counter[int] = field(default_factory=Counter)
    erased_parts: int = 0
    unreadable: int = 0

    def add(self, entry: LoggedEvent) -> None:
        """Count one entry of the range."""
        kind = name_of(entry.type)
        if len(self.names) < MAX_NAMES:
            self.names.add(entry.subject)
        if entry.erased_by is not None:
            self._add_erased(kind, entry, entry.erased_by)
        elif entry.event is None:
            self.unreadable += 1
        else:
            self.opened += 1
            about = json.loads(entry.event)["subject"]
            if about != entry.subject:
                raise VerificationError(f"entry {entry.index} is listed under a name that is not its event's")
            if about == self.subject:
                self.about.setdefault(kind, Span()).add(entry)
            self.erased_parts += entry.others.count(None)
            if any(part is not None and json.loads(part)["subject"] == self.subject for part in entry.others):
                self.shared.setdefault(kind, Span()).add(entry)

    def _add_erased(self, kind: str, entry: LoggedEvent, erased_by: int) -> None:
        if entry.subject == self.subject:
            self.erased.setdefault(kind, Span()).add(entry)
            self.erased_as[erased_by] += 1
        else:
            self.others_erased_as[erased_by] += 1


@dataclass(frozen=True, slots=True)
class ReportLog:
    """Reports in JSON."""

    books: Books

    async def __call__(
        self,
        asked: Asked,
        since: Checkpoint | None,
        until: Checkpoint,
        progress: Progress = unheard,
    ) -> dict[str, object]:
        """Report on the entries between two checkpoints whose signatures are good.

        A pseudonym is reported on under the name that is `held_as`, while anything is. `known`: whether the
        whole log has that name; else `near` are those of the range that may have been meant.
        VerificationError if they are not of one log that grew, or an entry is not what it is listed as.
        """
        start = 0 if since is None else since.size
        await self._require_growth(since, until)
        name = await held_as(self.books, asked.subject)
        tally = Tally(asked.subject if name is None else name)
        at: int | None = start
        wanted = Wanted(from_ns=asked.from_ns, until_ns=asked.until_ns)
        while at is not None and at < until.size:
            found = await self.books.find(wanted, at, PIECE)
            for entry in found.entries:
                if entry.index < until.size:
                    tally.add(entry)
            at = found.next
            progress(min(until.size if at is None else at, until.size) - start, until.size - start)
        known = await is_known(self.books, tally.subject)
        return {
            "subject": asked.subject,
            "held_as": name,
            "known": known,
            "near": [] if known else near(asked.subject, tally.names),
            "from": utc(asked.from_ns) if asked.from_ns else None,
            "to": utc(asked.until_ns) if asked.until_ns < Wanted().until_ns else None,
            "after": None if since is None else _told(since),
            "up_to": _told(until),
            **_counts(tally),
            "erasures": [await self._erasure(index, count) for index, count in _first(tally.erased_as)],
        }

    async def _require_growth(self, since: Checkpoint | None, until: Checkpoint) -> None:
        head = await self.books.head()
        if head.size < until.size:
            raise VerificationError(f"the log has {head.size} entries, the checkpoint {until.size}")
        pairs = [(until.size, until.root, head.size, head.root)]
        if since is not None:
            if since.size > until.size:
                raise BadRequestError(
                    "the range ends before it begins", fix="give the smaller checkpoint to --since"
                )
            pairs.append((since.size, since.root, until.size, until.root))
        for first, first_root, second, second_root in pairs:
            if first:
                proof = await self.books.consistency_proof(first, second)
                verify_consistency(first, first_root, second, second_root, proof)

    async def _erasure(self, index: int, entries: int) -> dict[str, object]:
        """What the entry that tells of an erasure says, and how many `entries` of the range it is about."""
        (found,) = await self.books.entries(index, 1)
        if found.type != EventType.SUBJECT_ERASED or found.event is None:
            raise VerificationError(f"entry {index} does not tell of an erasure")
        fields: Mapping[str, object] = json.loads(found.event)["fields"]
        return {"index": index, "at": utc(found.time_ns), "entries_here": entries, **fields}


def _counts(tally: Tally) -> dict[str, object]:
    return {
        "looked_at": tally.opened
        + tally.erased_as.total()
        + tally.others_erased_as.total()
        + tally.unreadable,
        "opened": tally.opened,
        "unreadable": tally.unreadable,
        "erased_parts": tally.erased_parts,
        "entries": sum(span.entries for span in tally.about.values()),
        "by_type": _by_type(tally.about),
        "mentioned": sum(span.entries for span in tally.shared.values()),
        "mentioned_by_type": _by_type(tally.shared),
        "erased": tally.erased_as.total(),
        "erased_by_type": _by_type(tally.erased),
        "others_erased": tally.others_erased_as.total(),
        "others_erased_as": [index for index, _ in _first(tally.others_erased_as)],
    }


def _by_type(spans: Mapping[str, Span]) -> dict[str, object]:
    return {kind: spans[kind].told() for kind in sorted(spans)}


def _first(counted: Counter[int]) -> list[tuple[int, int]]:
    return sorted(counted.items())[:MAX_NAMED]


def _told(checkpoint: Checkpoint) -> dict[str, object]:
    return {
        "size": checkpoint.size,
        "root_sha256": checkpoint.root.hex(),
        "signed_at": utc(checkpoint.time_s * NS_PER_S),
    }
