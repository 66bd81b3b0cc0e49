"""What an operator's mounts would show of this machine: looked at before a box is built.

Paths are compared as the kernel has them, by file system and place in it, so that neither a bind mount nor
another mount of the same disk is a way around. Links are refused: what was looked at is what is mounted.

Source: Linux proc_pid_mountinfo(5).
"""

import os
import re
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from macroslow.workflow.box import Mount, is_within

# Of the kernel, about other processes and devices: not to be shown even as part of a folder.
_KERNEL: Final = frozenset(
    {"proc", "sysfs", "cgroup", "cgroup2", "devpts", "devtmpfs", "debugfs", "tracefs", "securityfs"}
    | {"bpf", "mqueue", "configfs", "binfmt_misc", "pstore", "efivarfs", "fusectl", "hugetlbfs", "autofs"}
)
_OCTAL: Final = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True, slots=True)
class _Mounted:
    """One line of mountinfo: where it is, and what of which file system is there."""

    point: str
    device: str
    root: str
    kind: str

    def place(self, path: str) -> tuple[str, str]:
        """A path below the mount point, as the file system has it."""
        below = path[len(self.point.rstrip("/")) :]
        return self.device, (self.root.rstrip("/") + below) or "/"


def refusal(mount: Mount, protected: Sequence[Path]) -> str | None:
    """Why `mount` cannot be made, in words, if it cannot. `protected`: what no program may ever see.

    A folder is protected with all in it, and so is whatever holds it.
    """
    path = mount.path
    try:
        found = os.lstat(path)
        real = os.path.realpath(path, strict=True)
    except FileNotFoundError:
        return f"{path} does not exist"
    except OSError as error:
        return f"{path} cannot be looked at: {error.strerror}"
    if real != path:
        return f"{path} leads over a symbolic link: write {real}"
    if not stat.S_ISDIR(found.st_mode) and not stat.S_ISREG(found.st_mode):
        return f"{path} is neither a folder nor a file"
    if mount.writable and os.statvfs(path).f_flag & os.ST_RDONLY:
        return f"{path} is on a file system that is read-only"
    return _overlap(path, protected)


def _overlap(path: str, protected: Sequence[Path]) -> str | None:
    mounts = _mountinfo()
    shown = list(_shown(mounts, path))
    for _, _, kind in shown:
        if kind in _KERNEL:
            return f"{path} shows a file system of the kernel ({kind}): name the folder in it that is needed"
    for secret in protected:
        real = os.path.realpath(secret)
        device, place = _holding(mounts, real).place(real)
        for shown_device, shown_place, _ in shown:
            same = shown_device == device
            if same and (is_within(place, shown_place) or is_within(shown_place, place)):
                return f"{path} would show {secret}, which is the gateway's own"
    return None


def _shown(mounts: Sequence[_Mounted], path: str) -> Iterator[tuple[str, str, str]]:
    """All that is seen at and below `path`: device, place and kind of file system."""
    top = _holding(mounts, path)
    yield *top.place(path), top.kind
    for mounted in mounts:
        if mounted.point != path and is_within(mounted.point, path):
            yield mounted.device, mounted.root, mounted.kind


def _holding(mounts: Sequence[_Mounted], path: str) -> _Mounted:
    """The mount that `path` is on: the deepest, and of several at one place the last."""
    held = (mounted for mounted in reversed(mounts) if is_within(path, mounted.point))
    return max(held, key=lambda mounted: len(mounted.point))


def _mountinfo() -> list[_Mounted]:
    found = []
    for line in Path("/proc/self/mountinfo").read_text(errors="surrogateescape").splitlines():
        fields, _, rest = line.partition(" - ")
        _, _, device, root, point = fields.split()[:5]
        found.append(_Mounted(_plain(point), device, _plain(root), rest.split()[0]))
    return found


def _plain(text: str) -> str:
    """A path of mountinfo without its escapes (of spaces, tabs, line ends and backslashes)."""
    return _OCTAL.sub(lambda found: chr(int(found[1], 8)), text)
