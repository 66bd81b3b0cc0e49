"""Whether what is erased is what the log says was erased.

In the place of what was erased stands the index of the entry that tells of it. Such a row is sound only if
that entry is a readable `subject-erased` event, and if all rows that name it are, one by one and in number,
what its fields say: a payload is row 0 of its entry, part p row 1 + p. So whoever overwrites an entry, erases
more or less than is told, or puts something back, contradicts an entry that is in the signed tree.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from macroslow.errors import VerificationError
from macroslow.tlog.event import CLASSES, EventType, name_of
from macroslow.workflow.books import Books

_KNOWN: Final = frozenset(EventType)
_CLASS_OF: Final = {name_of(number): kind.name.lower() for number, kind in CLASSES.items()}


def row_bytes(index: int, place: int) -> bytes:
    """Return what `entries_sha256` is made of: the index (u64, big-endian) and the place (u8) of each row."""
    return index.to_bytes(8, "big") + bytes([place])


@dataclass(slots=True)
class _Account:
    """The rows that name one erasure, ascending."""

    entries: int = 0
    first: int | None = None
    last: int | None = None
    by_type: Counter[str] = field(default_factory=Counter)
    sha256: Any = field(default_factory=hashlib.sha256)

    def add(self, index: int, place: int, event_type: int) -> None:
        self.sha256.update(row_bytes(index, place))
        if index == self.last:  # several parts of one entry
            return
        self.entries += 1
        self.first = index if self.first is None else self.first
        self.last = index
        self.by_type[name_of(event_type) if event_type in _KNOWN else str(event_type)] += 1


class ErasureAccounts:
    """Adds up what each erasure took, and compares. Rows are noted in ascending order."""

    def __init__(self) -> None:
        self._accounts: dict[int, _Account] = {}
        self.erased = 0

    def __bool__(self) -> bool:
        """Whether there is an erasure at all."""
        return bool(self._accounts)

    @property
    def tellers(self) -> tuple[int, ...]:
        """The entries that tell of what was erased, of those that were noted."""
        return tuple(teller for teller in sorted(self._accounts) if self._accounts[teller].entries)

    def tells(self, index: int) -> None:
        """Entry `index` shows that it tells of an erasure."""
        self._accounts.setdefault(index, _Account())

    def note(self, index: int, place: int, event_type: int, teller: int) -> None:
        """A row of entry `index` names entry `teller`. VerificationError if that came before it."""
        if teller <= index:
            raise VerificationError(
                f"entry {index} was altered: it is gone, and names entry {teller}, which cannot tell of that"
            )
        account = self._accounts.setdefault(teller, _Account())
        before = account.entries
        account.add(index, place, event_type)
        self.erased += account.entries - before

    def note_older(self, index: int, place: int, event_type: int, teller: int) -> None:
        """The same for an entry that was verified before: only of erasures that came since."""
        if teller in self._accounts:
            self.note(index, place, event_type, teller)

    async def check(self, books: Books, size: int) -> None:
        """Raise VerificationError for the first erasure that did not happen as it is told.

        Rows were read from a log of `size` entries: of an erasure that came meanwhile not all were seen.
        One whose entry is there and does not open is passed over: whoever opens all entries finds that.
        """
        for teller in sorted(self._accounts):
            account = self._accounts[teller]
            fields = await _fields(books, teller, account)
            if teller < size and fields is not None:
                _compare(teller, account, fields)


async def _fields(books: Books, teller: int, account: _Account) -> Mapping[str, object] | None:
    """What the entry tells; None if it was not erased and does not open."""
    (told,) = await books.entries(teller, 1) or (None,)
    if told is None or told.type != EventType.SUBJECT_ERASED:
        raise VerificationError(
            f"entry {account.first} was altered: it is gone, and entry {teller} does not tell of that"
        )
    if told.erased_by is None and told.event is None:
        return None
    if told.event is None:
        raise VerificationError(f"entry {teller} tells of an erasure and cannot be read")
    fields: Mapping[str, object] = json.loads(told.event)["fields"]
    return fields


def _compare(teller: int, account: _Account, fields: Mapping[str, object]) -> None:
    if fields.get("entries") != account.entries:
        raise VerificationError(
            f"entry {teller} tells of an erasure of {fields.get('entries')} entries:"
            f" {account.entries} are erased in its name"
        )
    found = {
        "entries_sha256": account.sha256.hexdigest(),
        "by_type": dict(account.by_type),
        "first_index": account.first,
        "last_index": account.last,
    }
    if any(fields.get(name) != value for name, value in found.items()):
        raise VerificationError(
            f"entry {teller} tells of the erasure of other entries than are erased in its name:"
            f" those lie between {account.first} and {account.last}"
        )
    if not _agrees_with_itself(fields):
        raise VerificationError(f"entry {teller} tells of an erasure and contradicts itself")


def _agrees_with_itself(fields: Mapping[str, object]) -> bool:
    """Whether all that went is of the classes that went, and nothing that is held."""
    classes, by_type, held = fields.get("classes"), fields.get("by_type"), fields.get("held")
    if not isinstance(classes, list) or not isinstance(by_type, dict) or not isinstance(held, dict):
        return False
    return (
        all(each in _CLASS_OF.values() for each in classes)
        and all(_CLASS_OF.get(name) in classes for name in by_type)
        and not any(_CLASS_OF.get(name) in classes for name in held)
    )
