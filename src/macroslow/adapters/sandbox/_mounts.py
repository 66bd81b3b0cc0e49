"""What an operator's mounts would show of this machine: looked at before a box is built.

Paths are compared as the kernel has them, by file system and place in it, so that neither a bind mount nor
another mount of the same disk is a way around. Links are refused: what was looked at is what is mounted.
"""

import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from macroslow.adapters.sandbox._mountinfo import Mounted, mounted, shown
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
    try:
        return _overlap(path, protected)
    except OSError as error:
        return f"{path} cannot be looked at: {error.strerror}"


def _overlap(path: str, protected: Sequence[Path]) -> str | None:
    mounts = mounted()
    seen = shown(mounts, path)
    for kind in (each.kind for each in seen if each.kind in _KERNEL):
        return f"{path} shows a file system of the kernel ({kind}): name the folder in it that is needed"
    for secret in protected:
        own = shown(mounts, os.path.realpath(secret))
        if any(_overlapping(one, other) for one in own for other in seen):
            return f"{path} would show {secret}, which is the gateway's own"
    return None


def _overlapping(one: Mounted, other: Mounted) -> bool:
    within = is_within(one.root, other.root) or is_within(other.root, one.root)
    return one.device == other.device and within
