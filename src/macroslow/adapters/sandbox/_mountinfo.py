"""The mounts that this process sees, as the kernel tells them.

Names are bytes, whatever their encoding: they come as `os.fsdecode` has them.

Source: Linux proc_pid_mountinfo(5).
"""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_ESCAPED: Final = re.compile(rb"\\([0-7]{3})")


@dataclass(frozen=True, slots=True)
class Mounted:
    """One mount: where it is, and what of which file system is there."""

    point: str
    device: str
    root: str
    kind: str


def mounted() -> list[Mounted]:
    """All mounts, in the order in which they were made."""
    return read(Path("/proc/self/mountinfo").read_bytes())


def read(table: bytes) -> list[Mounted]:
    """Read the kernel's table."""
    found = []
    for line in table.removesuffix(b"\n").split(b"\n"):
        fields, _, rest = line.partition(b" - ")
        _, _, device, root, point = fields.split(b" ")[:5]
        found.append(
            Mounted(_plain(point), os.fsdecode(device), _plain(root), os.fsdecode(rest.split(b" ")[0]))
        )
    return found


def _plain(name: bytes) -> str:
    """A path without its escapes (of spaces, tabs, line ends and backslashes)."""
    return os.fsdecode(_ESCAPED.sub(lambda found: bytes([int(found[1], 8)]), name))
