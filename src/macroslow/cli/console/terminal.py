"""Text that came from elsewhere: shown, never obeyed.

A document's output could otherwise write to the clipboard, rename the window or paint over what
stands above it (ECMA-48 control functions). Into a file or pipe it goes as it is.

What others wrote within a line of ours (a name, a tag, a reason) could begin a line of its own or turn
text around (bidirectional controls, UAX #9) wherever it is read: it is escaped in files and pipes too.
"""

import re
import sys
from typing import Final

# All of C0 and C1 but tab and line feed.
_CONTROL: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")
# All of C0 and C1, line and paragraph separators, what steers direction, and halves of surrogate pairs.
_NOT_IN_LINES: Final = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
_SHORT: Final = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def harmless(text: str, *, err: bool = False) -> str:
    """Return what may be written to standard output (or standard error): escapes instead of controls."""
    stream = sys.stderr if err else sys.stdout
    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text) if stream.isatty() else text


def one_line(text: str) -> str:
    """Return text as a part of one line, wherever that is written: what would leave or turn it is escaped."""
    return _NOT_IN_LINES.sub(lambda found: _escaped(found[0]), text)


def _escaped(sign: str) -> str:
    code_point = ord(sign)
    return _SHORT.get(sign) or (f"\\x{code_point:02x}" if code_point < 0x7F else f"\\u{code_point:04x}")
