"""Entries that nobody can open though no entry of the log tells that they were erased.

A key of a subject was lost or destroyed, or a row was hung on somebody else: the leaf does not show either.
"""

from collections.abc import Sequence
from typing import Final

import orjson

from macroslow.errors import VerificationError
from macroslow.tlog.leaf import erased_by
from macroslow.workflow.books import Books, LoggedEvent

REPAIR: Final = (
    "put the newest copy of the subjects' keys back (subjects.sqlite, or the schema macroslow_subjects);"
    " without it they stay unreadable"
)


class Opening:
    """Opens entries whose stored bytes were found to be those of their leaves, a chunk at a time."""

    def __init__(self, books: Books) -> None:
        self._books = books
        self._unreadable = 0
        self._first: int | None = None

    async def open(self, start: int, end: int) -> None:
        """Open [start, end). VerificationError if one opens to what its row or its leaf does not say."""
        for entry in await self._opened(start, end):
            if entry.erased_by is not None:
                continue
            if _is_closed(entry) or (None in entry.others and await self._has_closed_parts(entry)):
                self._unreadable += 1
                self._first = entry.index if self._first is None else self._first

    def check(self) -> None:
        """VerificationError if there was one that does not open."""
        if self._unreadable:
            raise VerificationError(
                f"{self._unreadable} of the entries cannot be opened and none tells of their erasure; the"
                f" first is entry {self._first}: keys of subjects were lost, or rows hung on others",
                fix=REPAIR,
            )

    async def _opened(self, start: int, end: int) -> Sequence[LoggedEvent]:
        try:
            return await self._books.entries(start, end - start)
        except VerificationError as error:
            if end - start > 1:  # which one is it?
                return [
                    entry for index in range(start, end) for entry in await self._opened(index, index + 1)
                ]
            raise VerificationError(f"entry {start} was altered: {error.detail}") from None

    async def _has_closed_parts(self, entry: LoggedEvent) -> bool:
        parts = await self._books.stored_parts(entry.index, entry.index + 1)
        return any(
            erased_by(sealed) is None and entry.others[position] is None for _, position, sealed in parts
        )


def _is_closed(entry: LoggedEvent) -> bool:
    """Whether it did not open. VerificationError if it did, and is about another than its row says."""
    if entry.event is None:
        return True
    if orjson.loads(entry.event)["subject"] != entry.subject:
        raise VerificationError(f"entry {entry.index} was altered: it is about another than its row says")
    return False
