"""What an operator's mounts would show of this machine: looked at before a box is built.

Paths are compared as the kernel has them, by file system and place in it, so that neither a bind mount nor
another mount of the same disk is a way around. Links are refused: what was looked at is what is mounted.
"""

import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from macroslow.adapters.sandbox._mountinfo import Mounted, mounted
from macroslow.workflow.box import Mount, is_within

# Of the kernel, about other processes and devices: not to be shown even as part of a folder.
_KERNEL: Final = frozenset(
    {"proc", "sysfs", "cgroup", "cgroup2", "devpts", "devtmpfs", "debugfs", "tracefs", "securityfs"}
    | {"bpf", "mqueue", "configfs", "binfmt_misc", "pstore", "efivarfs", "fusectl", "hugetlbfs", "autofs"}
)


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
    mounts = mounted()
    shown = list(_shown(mounts, path))
    for _, _, kind in shown:
        if kind in _KERNEL:
            return f"{path} shows a file system of the kernel ({kind}): name the folder in it that is needed"
    for secret in protected:
        real = os.path.realpath(secret)
        device, place = _place(_holding(mounts, real), real)
        for shown_device, shown_place, _ in shown:
            same = shown_device == device
            if same and (is_within(place, shown_place) or is_within(shown_place, place)):
                return f"{path} would show {secret}, which is the gateway's own"
    return None


def _shown(mounts: Sequence[Mounted], path: str) -> Iterator[tuple[str, str, str]]:
    """All that is seen at and below `path`: device, place and kind of file system."""
    top = _holding(mounts, path)
    yield *_place(top, path), top.kind
    for each in mounts:
        if each.point != path and is_within(each.point, path):
            yield each.device, each.root, each.kind


def _holding(mounts: Sequence[Mounted], path: str) -> Mounted:
    """The mount that `path` is on: the deepest, and of several at one place the last."""
    held = (each for each in reversed(mounts) if is_within(path, each.point))
    return max(held, key=lambda each: len(each.point))


def _place(mount: Mounted, path: str) -> tuple[str, str]:
    """A path below the mount point, as the file system has it."""
    below = path[len(mount.point.rstrip("/")) :]
    return mount.device, (mount.root.rstrip("/") + below) or "/"
