"""What was found, for a day, for everybody: the same search costs one request.

Pixabay asks for a day of it (API documentation, "Rate limit"). In memory, bounded in entries and in bytes:
what was not asked for the longest goes first.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import astuple, dataclass
from typing import Final
from weakref import WeakValueDictionary

from macroslow.images.search import FoundImages, Image, ImageQuery
from macroslow.ports import DAY_NS, Clock

KEPT_NS: Final = DAY_NS
MAX_ENTRIES: Final = 2000
MAX_BYTES: Final = 32 * 1024 * 1024
_IMAGE_BYTES: Final = 1000  # of its objects, without its texts
_CHARACTER_BYTES: Final = 4  # a text with one rare character has four bytes for each

Key = tuple[str, ImageQuery]
"""The provider and the search."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What was found, and when: in nanoseconds since 1970 for people, and of the clock that runs evenly."""

    found: FoundImages
    found_ns: int
    ends_ns: int
    size_bytes: int


class ImageCache:
    """One event loop's."""

    def __init__(self, clock: Clock, max_entries: int = MAX_ENTRIES, max_bytes: int = MAX_BYTES) -> None:
        self._clock = clock
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._kept: dict[Key, Kept] = {}
        self._bytes = 0
        self._asking: WeakValueDictionary[Key, asyncio.Lock] = WeakValueDictionary()

    def get(self, key: Key) -> Kept | None:
        """What was found in the last day."""
        kept = self._kept.pop(key, None)
        if kept is None:
            return None
        if kept.ends_ns <= self._clock.monotonic_ns():
            self._bytes -= kept.size_bytes
            return None
        self._kept[key] = kept  # the last: the order of the dictionary is that of use
        return kept

    def put(self, key: Key, found: FoundImages) -> Kept:
        """Keep it for a day, if there is room for it at all."""
        self._drop(key)
        ends_ns = self._clock.monotonic_ns() + KEPT_NS
        kept = Kept(found, self._clock.now_ns(), ends_ns, sum(map(_size_bytes, found.images)) + _IMAGE_BYTES)
        self._kept[key] = kept
        self._bytes += kept.size_bytes
        while len(self._kept) > self._max_entries or self._bytes > self._max_bytes:
            self._drop(next(iter(self._kept)))
        return kept

    @asynccontextmanager
    async def asking(self, key: Key) -> AsyncIterator[None]:
        """One at a time asks the provider for `key`; whoever waited looks again first."""
        lock = self._asking.setdefault(key, asyncio.Lock())
        async with lock:
            yield

    def _drop(self, key: Key) -> None:
        gone = self._kept.pop(key, None)
        if gone is not None:
            self._bytes -= gone.size_bytes


def _size_bytes(image: Image) -> int:
    """An upper bound of what it takes in memory."""
    return _IMAGE_BYTES + _CHARACTER_BYTES * len(str(astuple(image)))
