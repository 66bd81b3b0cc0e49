"""Erasures that are not complete: something is held, and the name still lies in the entry that says so."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

from macroslow.tlog.event import EventType
from macroslow.workflow.books import Books, LoggedEvent, Wanted

PIECE: Final = 100  # entries opened at once
_TOLD: Final = frozenset({int(EventType.SUBJECT_ERASED)})


@dataclass(frozen=True, slots=True)
class Pending:
    """The person `subject` was erased as entry `index` says, under `pseudonym`, but not whole."""

    index: int
    subject: str
    pseudonym: str


async def pending_of(books: Books, subject: str) -> Pending | None:
    """The newest entry that tells of an erasure of this person; None if there is none, or it is complete."""
    newest = None
    async for each in _pending(books, Wanted(subject=subject, types=_TOLD), 0):
        newest = each
    return newest


async def pending_from(books: Books, start: int) -> AsyncIterator[Pending]:
    """Every one that an entry from index `start` on tells of."""
    async for each in _pending(books, Wanted(types=_TOLD), start):
        yield each


async def _pending(books: Books, wanted: Wanted, start: int) -> AsyncIterator[Pending]:
    at: int | None = start
    while at is not None:
        found = await books.find(wanted, at, PIECE)
        for entry in found.entries:
            if (pending := _read(entry)) is not None:
                yield pending
        at = found.next


def _read(entry: LoggedEvent) -> Pending | None:
    names = [json.loads(part)["subject"] for part in entry.others if part is not None]
    if entry.event is None or not names:
        return None
    return Pending(entry.index, names[0], json.loads(entry.event)["fields"]["pseudonym"])
