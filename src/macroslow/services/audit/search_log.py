"""Find entries of the log: by what it shows without a key first, then by what opened entries say.

Oldest first, in pieces, so that neither a log of a million entries nor a search that finds them all is
ever in memory. An entry that was erased says nothing: it is found by its type, its time and the name that
stands in the place of its subject's, and by nothing else.
"""

import json
from dataclasses import dataclass
from typing import Final

from macroslow.ports import Progress, unheard
from macroslow.tlog.event import name_of
from macroslow.workflow.books import Books, LoggedEvent, Wanted

PIECE: Final = 100  # entries opened at once: others who read the books wait for no more
MAX_PAGE_BYTES: Final = 8 * 1024 * 1024  # of events: they have up to 64 KiB each


@dataclass(frozen=True, slots=True)
class Search:
    """What is looked for. `words` must all stand in what the entry says, in any case of letters."""

    wanted: Wanted
    request_id: str = ""
    words: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Page:
    """Entries found, oldest first; `next`: where to look on, None at the end. The log has `size` entries."""

    entries: list[LoggedEvent]
    next: int | None
    size: int


@dataclass(frozen=True, slots=True)
class SearchLog:
    """Looks through the log in bounded pieces, and tells how far it is."""

    books: Books

    async def __call__(self, search: Search, start: int, limit: int, progress: Progress = unheard) -> Page:
        """Up to `limit` entries that fit, from index `start` on."""
        size = (await self.books.head()).size
        found: list[LoggedEvent] = []
        found_bytes = 0
        at: int | None = start
        while at is not None:
            piece = await self.books.find(search.wanted, at, PIECE)
            for entry in piece.entries:
                if not _fits(search, entry):
                    continue
                found.append(entry)
                found_bytes += len(entry.event or b"")
                if len(found) >= limit or found_bytes >= MAX_PAGE_BYTES:
                    return Page(found, entry.index + 1 if entry.index + 1 < size else None, size)
            at = piece.next
            progress(size if at is None else at, size)
        return Page(found, None, size)


def _fits(search: Search, entry: LoggedEvent) -> bool:
    if not search.request_id and not search.words:
        return True
    if entry.event is None:
        return False
    fields = json.loads(entry.event)["fields"]
    if search.request_id and fields.get("request_id") != search.request_id:
        return False
    said = _said(entry, fields).casefold()
    return all(word.casefold() in said for word in search.words)


def _said(entry: LoggedEvent, fields: object) -> str:
    """All that the entry says, of anybody."""
    parts = [json.loads(part) for part in entry.others if part is not None]
    persons = [(entry.subject, fields), *((part["subject"], part["fields"]) for part in parts)]
    told = (f"{subject} {json.dumps(each, ensure_ascii=False)}" for subject, each in persons)
    return " ".join((name_of(entry.type), *told))
