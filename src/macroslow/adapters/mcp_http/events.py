"""Server-sent events as MCP uses them: the data of each, from a stream in pieces of any size.

Names and ids of events mean nothing here. What an adversary can make us hold is bounded by the caller, who
counts the bytes of the whole stream.

Source: WHATWG HTML, section 9.2.6 (interpreting an event stream).
"""

from collections.abc import Iterator
from typing import Final

_MARK: Final = b"\xef\xbb\xbf"


class Events:
    """Feed it bytes; it gives out the data of every event that has ended."""

    def __init__(self) -> None:
        self._line = bytearray()  # of a line that has not ended
        self._data: list[bytes] = []
        self._begun = False
        self._after_cr = False

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """The data of the events that end in `piece`. An event without data is none."""
        if self._after_cr and piece.startswith(b"\n"):
            piece = piece[1:]
        self._after_cr = piece.endswith(b"\r")
        if b"\r" in piece:
            piece = piece.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        first, *more = piece.split(b"\n")
        self._line += first
        for following in more:
            line = bytes(self._line)
            self._line[:] = following
            if (ended := self._take(line)) is not None:
                yield ended

    def _take(self, line: bytes) -> bytes | None:
        """Take one line; the event's data if it ends one."""
        if not self._begun:
            self._begun = True
            line = line.removeprefix(_MARK)
        if line.startswith(b"data:"):
            self._data.append(line[5:].removeprefix(b" "))
        if line or not self._data:
            return None
        data, self._data = b"\n".join(self._data), []
        return data
