"""Server-sent events, cut out of a byte stream without changing a byte.

Lines end with CRLF, LF or CR; an event ends with an empty line. The splitter returns whole events
with their line ends as they came, so that what is passed on equals what was received.

Source: WHATWG HTML, "Server-sent events", section 9.2.6. Input comes from another machine: an event
may be as long as `MAX_EVENT_BYTES`, cut anywhere.

Here and in those who read events, bytes are looked for with `find`: `in` first tries whether it is given a
number, and that takes several times as long as looking through an event.
"""

import re
from typing import Final

MAX_EVENT_BYTES: Final = 4 * 1024 * 1024  # some repeat the whole request with its tools

# Two line ends, the first in full: a CRLF must not be taken for both. A CR that is the last byte so far
# may be half of a CRLF, so it is waited with, unless lines end with CR alone. Each alternative begins
# with its own byte, which lets the engine skip all others three times as fast.
_EMPTY_LINE: Final = re.compile(rb"\n(?:\n|\r\n|\r(?!\Z))|\r\n(?:\n|\r\n|\r(?!\Z))|\r\r\n?")
_MARK: Final = b"\xef\xbb\xbf"
_OVERLAP_BYTES: Final = 3  # the longest line end but one byte


class EventTooLongError(ValueError):
    """An event is longer than MAX_EVENT_BYTES."""


class EventSplitter:
    """Cuts a stream after its last whole event so far. `rest` is what has not been an event yet."""

    def __init__(self) -> None:
        self.rest: bytes | bytearray = b""
        self._searched_bytes = 0
        self._last_end = _last_by_lf

    def feed(self, chunk: bytes) -> bytes:
        """The events that `chunk` completes, together: `split` takes them apart. Raises EventTooLongError."""
        if chunk.find(b"\r") >= 0:
            self._last_end = _last_by_any
        if not self.rest and self._last_end is _last_by_lf and chunk.endswith(b"\n\n"):
            events = chunk  # as it mostly comes: nothing has to be put together or cut
        else:
            events = self._cut(chunk)
        if len(events) > MAX_EVENT_BYTES:
            for event in split(events):
                _require_short(len(event))
        return events

    def _cut(self, chunk: bytes) -> bytes:
        data: bytes | bytearray = chunk
        if self.rest:
            data = self.rest if isinstance(self.rest, bytearray) else bytearray(self.rest)
            data += chunk  # in place: a long event may come in many pieces
        end = self._last_end(data, self._searched_bytes)
        events, self.rest = bytes(data[:end]), data[end:] if end else data
        _require_short(len(self.rest))
        self._searched_bytes = max(0, len(self.rest) - _OVERLAP_BYTES)
        return events


def split(events: bytes) -> list[bytes]:
    """Take whole events apart. Their last line end may be half of one: what follows it is not here."""
    next_end = _next_by_any if events.find(b"\r") >= 0 else _next_by_lf
    apart, start = [], 0
    while end := next_end(events, start):
        apart.append(events[start:end])
        start = end
    if start < len(events):
        apart.append(events[start:])
    return apart


# Where the last or the next event ends, 0 if none does: while lines end with LF alone (twice as fast), and
# with any line ends.


def _last_by_lf(data: bytes | bytearray, search: int) -> int:
    at = data.rfind(b"\n\n", search)
    return 0 if at < 0 else at + 2


def _last_by_any(data: bytes | bytearray, search: int) -> int:
    end = 0
    for found in _EMPTY_LINE.finditer(data, search):
        end = found.end()
    return end


def _next_by_lf(data: bytes, search: int) -> int:
    at = data.find(b"\n\n", search)
    return 0 if at < 0 else at + 2


def _next_by_any(data: bytes, search: int) -> int:
    found = _EMPTY_LINE.search(data, search)
    return 0 if found is None else found.end()


def _require_short(event_bytes: int) -> None:
    if event_bytes > MAX_EVENT_BYTES:
        raise EventTooLongError(f"an event of more than {MAX_EVENT_BYTES} bytes")


def data_of(event: bytes) -> bytes:
    """The event's data: its `data` lines joined by LF; empty if it has none (a comment).

    A byte order mark before it is skipped; the standard lets a stream begin with one.
    """
    lines = [line for line in event.removeprefix(_MARK).splitlines() if line.startswith(b"data:")]
    return b"\n".join([line[6:] if line.startswith(b"data: ") else line[5:] for line in lines])
