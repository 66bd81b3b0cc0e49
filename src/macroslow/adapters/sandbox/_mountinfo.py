"""The mounts that this process sees, as the kernel tells them, and which of them a path is on.

Names are bytes, whatever their encoding: they come as `os.fsdecode` has them. A *place* is a path as a file
system has it, whatever part of it is mounted, and wherever.

Source: Linux proc_pid_mountinfo(5).
"""

import errno
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from macroslow.workflow.box import is_within

_ESCAPED: Final = re.compile(rb"\\([0-7]{3})")


@dataclass(frozen=True, slots=True)
class Mounted:
    """One mount: what it stands on and where, which place of which file system it shows, and how."""

    number: int
    parent: int
    point: str
    device: str
    root: str
    kind: str
    options: tuple[str, ...]  # of the file system, not of the mount


def mounted() -> list[Mounted]:
    """All mounts, in the order in which they were made."""
    return read(Path("/proc/self/mountinfo").read_bytes())


def read(table: bytes) -> list[Mounted]:
    """Read the kernel's table."""
    found = []
    for line in table.removesuffix(b"\n").split(b"\n"):
        fields, _, rest = line.partition(b" - ")
        number, parent, device, root, point = fields.split(b" ")[:5]
        kind, _, options = (os.fsdecode(each) for each in rest.split(b" ")[:3])
        names = _plain(point), os.fsdecode(device), _plain(root)
        found.append(Mounted(int(number), int(parent), *names, kind, tuple(options.split(","))))
    return found


def _plain(name: bytes) -> str:
    """A path without its escapes (of spaces, tabs, line ends and backslashes)."""
    return os.fsdecode(_ESCAPED.sub(lambda found: bytes([int(found[1], 8)]), name))


def holding(mounts: Sequence[Mounted], path: str) -> Mounted:
    """The mount that an absolute path without links is on. OSError if none is known.

    Found as the kernel finds it: from the root into the first mount on the way, from there into the next that
    stands on that one. So what was mounted over a folder hides what was mounted there, or deeper, before;
    what was mounted over our root hides nothing.
    """
    numbers = {each.number for each in mounts}
    here, ahead = None, [each for each in mounts if each.parent not in numbers or each.parent == each.number]
    while on_the_way := [each for each in ahead if is_within(path, each.point)]:
        here = min(on_the_way, key=lambda each: len(each.point))
        ahead = [each for each in mounts if each.parent == here.number and each.point != "/"]
    if here is None:
        raise OSError(errno.ENXIO, "it is on no mount that this process sees", path)
    return here


def shown(mounts: Sequence[Mounted], path: str) -> list[Mounted]:
    """All that may be seen at and below `path`: first its own place, then what is mounted below."""
    top = holding(mounts, path)
    below = [each for each in mounts if each.point != path and is_within(each.point, path)]
    return [replace(top, point=path, root=_moved(path, top.point, top.root)), *below]


def leading_to(mounts: Sequence[Mounted], place: Mounted) -> list[str]:
    """The paths by which mounts of the same file system lead to a place, or to some of what is in it."""
    found = []
    for each in mounts:
        if each.device == place.device and is_within(place.root, each.root):
            found.append(_moved(place.root, each.root, each.point))
        elif each.device == place.device and is_within(each.root, place.root):
            found.append(each.point)
    return found


def _moved(path: str, source: str, target: str) -> str:
    """What `path`, in the folder `source`, is called where that is the folder `target`."""
    return (target.rstrip("/") + path[len(source.rstrip("/")) :]) or "/"
