"""What a program in a box writes to its standard error: read slowly, kept in part, logged clean.

It is for the operator: programs quote there what went wrong, their secrets included. Values of their own
environment are taken out.
"""

import asyncio
import logging
import os
from dataclasses import dataclass, field
from typing import Final

from macroslow.adapters.sandbox._channel import wait_readable

_KEPT_BYTES: Final = 32 * 1024
_CHUNK_BYTES: Final = 8 * 1024
_PAUSE_S: Final = 0.02  # after each chunk: a flood waits in its own pipe, and costs us 400 KB/s at most
_LINE_CHARS: Final = 500
_LAST_LINES: Final = 3
_MIN_HIDDEN: Final = 8  # characters of a value that may be a secret; shorter ones are words like "info"
log: Final = logging.getLogger("macroslow.mcp")


@dataclass(slots=True, eq=False)
class Ring:
    """The last of what was written. `name` is the box's, for the log; `hidden` are values not to be shown."""

    name: str
    hidden: tuple[str, ...] = ()
    _kept: bytearray = field(default_factory=bytearray)
    _line: bytearray = field(default_factory=bytearray)

    async def read(self, descriptor: int) -> None:
        """Read until nobody can write any more."""
        while True:
            try:
                chunk = os.read(descriptor, _CHUNK_BYTES)
            except BlockingIOError:
                await wait_readable(descriptor)
                continue
            if not chunk:
                return
            self.take(chunk)
            await asyncio.sleep(_PAUSE_S)

    def take(self, chunk: bytes) -> None:
        """Keep it, and log the lines that it completes."""
        self._kept = (self._kept + chunk)[-_KEPT_BYTES:]
        if not log.isEnabledFor(logging.DEBUG):
            return
        *whole, rest = (bytes(self._line) + chunk).split(b"\n")
        self._line = bytearray(rest[: 4 * _LINE_CHARS])
        for line in whole:
            log.debug("MCP server %s: %s", self.name, self._shown(line))

    @property
    def last(self) -> str:
        """The last lines that say something, as one, or ""."""
        lines = [text for line in self._kept.split(b"\n") if (text := self._shown(bytes(line)).strip())]
        return " | ".join(lines[-_LAST_LINES:])

    def _shown(self, line: bytes) -> str:
        text = line.decode("utf-8", "replace")
        for value in self.hidden:
            if len(value) >= _MIN_HIDDEN:
                text = text.replace(value, "[hidden]")
        return clean(text)


def clean(text: str) -> str:
    """Text that can do nothing to a terminal or to whoever reads the log: what is not printable is a ?."""
    return "".join(character if character.isprintable() else "?" for character in text[:_LINE_CHARS])
