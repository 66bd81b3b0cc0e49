"""Text that came from elsewhere, on a terminal: shown, never obeyed.

A document's output could otherwise write to the clipboard, rename the window or paint over what
stands above it (ECMA-48 control functions). Into a file or pipe it goes as it is.
"""

import re
import sys
from typing import Final

# All of C0 and C1 but tab and line feed.
_CONTROL: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def harmless(text: str, *, err: bool = False) -> str:
    """Return what may be written to standard output (or standard error): escapes instead of controls."""
    stream = sys.stderr if err else sys.stdout
    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text) if stream.isatty() else text
