"""A stream of bytes as lines, each held to a cap: what is longer is read past and told of by its ends alone.

Messages of the stdio transport are lines of UTF-8, delimited by line feeds, with none inside (MCP 2026-07-28,
"Transports", stdio).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

_KEPT_BYTES: Final = 256  # of each end of a line that is too long
_ID_FIRST: Final = re.compile(rb'\A\s*\{(?:\s*"jsonrpc"\s*:\s*"2\.0"\s*,)?\s*"id"\s*:\s*(\d{1,15})\s*,')
_ID_LAST: Final = re.compile(rb',\s*"id"\s*:\s*(\d{1,15})\s*\}\s*\Z')


@dataclass(frozen=True, slots=True)
class Overlong:
    """A line beyond the cap. `number` is the id that it answers to, as far as its ends show one."""

    length_bytes: int
    number: int | None


@dataclass(slots=True)
class Lines:
    """Splits what is fed to it. Holds no more than `cap_bytes` and one chunk.

    `passed_bytes`: how much of a line beyond the cap was let go so far.
    """

    cap_bytes: int
    passed_bytes: int = 0
    _held: bytearray = field(default_factory=bytearray)
    _head: bytes = b""

    def feed(self, chunk: bytes) -> Iterator[bytes | Overlong]:
        """Yield the lines that `chunk` completes, without their ends; empty ones are left out."""
        *whole, rest = chunk.split(b"\n")
        for part in whole:
            self._take(part)
            if self.passed_bytes:
                yield self._overlong()
            elif self._held:
                yield bytes(self._held)
            self._held.clear()
            self.passed_bytes, self._head = 0, b""
        self._take(rest)

    def _take(self, part: bytes) -> None:
        self._held += part
        if self.passed_bytes or len(self._held) > self.cap_bytes:
            if not self.passed_bytes:
                self._head = bytes(self._held[:_KEPT_BYTES])
            surplus = max(0, len(self._held) - _KEPT_BYTES)
            self.passed_bytes += surplus
            del self._held[:surplus]

    def _overlong(self) -> Overlong:
        found = _ID_FIRST.search(self._head) or _ID_LAST.search(self._held)
        length = self.passed_bytes + len(self._held)
        return Overlong(length, int(found[1]) if found else None)
