"""Reading what a run writes, up to a cap that is held here and not by the code that writes."""

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

_CHUNK_BYTES: Final = 64 * 1024


@dataclass(slots=True)
class Budget:
    """Bytes that several captures may take together; `overrun` is told once that it was more."""

    limit_bytes: int
    overrun: Callable[[int], None]
    seen_bytes: int = 0

    def take(self, wanted_bytes: int) -> int:
        """Count what was read and return how much of it may be kept."""
        room = max(0, self.limit_bytes - self.seen_bytes)
        within = self.seen_bytes <= self.limit_bytes
        self.seen_bytes += wanted_bytes
        if within and self.seen_bytes > self.limit_bytes:
            self.overrun(self.seen_bytes)
        return min(room, wanted_bytes)


@dataclass(slots=True)
class Capture:
    """One pipe. `writer` is handed to the run and closed here by `opened`."""

    budget: Budget
    reader: int = -1
    writer: int = -1
    data: bytearray = field(default_factory=bytearray)

    def __post_init__(self) -> None:
        self.reader, self.writer = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(self.reader, False)

    def start(self) -> None:
        """Begin to read; the run has its copy of the writing end now."""
        os.close(self.writer)
        self.writer = -1
        asyncio.get_running_loop().add_reader(self.reader, self._read)

    def _read(self) -> bool:
        """Read once; whether there may be more just now."""
        try:
            chunk = os.read(self.reader, _CHUNK_BYTES)
        except BlockingIOError:
            return False
        if not chunk:
            asyncio.get_running_loop().remove_reader(self.reader)
            return False
        self.data += chunk[: self.budget.take(len(chunk))]
        return True

    def finish(self) -> None:
        """Take what is left in the pipe, once nothing can write any more, and close it."""
        if self.reader < 0:
            return
        while self.budget.seen_bytes <= self.budget.limit_bytes and self._read():
            pass
        asyncio.get_running_loop().remove_reader(self.reader)
        os.close(self.reader)
        self.reader = -1
        if self.writer >= 0:
            os.close(self.writer)
            self.writer = -1

    @property
    def text(self) -> str:
        return self.data.decode("utf-8", "replace")
