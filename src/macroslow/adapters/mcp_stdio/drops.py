"""What a server wrote to no use: counted by its kind, and too much of it in a minute is a flood."""

import asyncio
import enum
from collections import Counter
from dataclasses import dataclass, field
from typing import Final

MAX_USELESS_LINES: Final = 10_000  # in a minute
MAX_USELESS_BYTES: Final = 64 * 1024 * 1024
_WINDOW_S: Final = 60.0


class Drop(enum.StrEnum):
    """Why a line was dropped."""

    NOT_JSON = "not-json"
    TOO_LONG = "too-long"
    UNKNOWN_ID = "unknown-id"  # foreign, or answered already
    REQUEST = "request"  # of the server's own: answered with an error
    NOTIFICATION = "notification"  # of no meaning here


@dataclass(slots=True)
class Drops:
    """Of one conversation. `counts` are of all its time."""

    counts: Counter[Drop] = field(default_factory=Counter)
    _lines: int = 0
    _bytes: int = 0
    _window_ends_s: float = 0.0

    def note(self, why: Drop, length_bytes: int) -> None:
        """Count one line."""
        now_s = asyncio.get_running_loop().time()
        if now_s >= self._window_ends_s:
            self._window_ends_s = now_s + _WINDOW_S
            self._lines = self._bytes = 0
        self.counts[why] += 1
        self._lines += 1
        self._bytes += length_bytes

    @property
    def summary(self) -> str:
        """How many of which kind, for the log; "" for none."""
        return ", ".join(f"{count} {why}" for why, count in sorted(self.counts.items()))

    @property
    def flood(self) -> bool:
        """Whether it is more than a server may write to no use."""
        return self._lines > MAX_USELESS_LINES or self._bytes > MAX_USELESS_BYTES
