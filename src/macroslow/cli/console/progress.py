"""How far a long command is: one line on stderr, rewritten, where that is a terminal; else nothing."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from macroslow.bootstrap.machine import clock
from macroslow.ports import NS_PER_MS, Progress, unheard

EVERY_NS: Final = 200 * NS_PER_MS


@contextmanager
def on_terminal() -> Iterator[Progress]:
    """Show what is told meanwhile; nothing is left of it on the line."""
    if not sys.stderr.isatty():
        yield unheard
        return
    line = _Line()
    try:
        yield line
    finally:
        line.wipe()


class _Line:
    def __init__(self) -> None:
        self._due_ns = clock.monotonic_ns() + EVERY_NS  # what is done at once shows nothing
        self._length = 0

    def __call__(self, done: int, of: int) -> None:
        if clock.monotonic_ns() >= self._due_ns:
            self._due_ns = clock.monotonic_ns() + EVERY_NS
            self._write(f"{done:,} of {of:,} ({done * 100 // max(of, 1)} %)")

    def wipe(self) -> None:
        if self._length:
            self._write("")
            self._write("")

    def _write(self, text: str) -> None:
        # Blanks over what stood there: not every terminal knows the control for it.
        sys.stderr.write(f"\r{text:<{self._length}}")
        sys.stderr.flush()
        self._length = len(text)
