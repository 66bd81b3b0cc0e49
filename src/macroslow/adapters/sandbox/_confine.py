"""This process denies itself some folders, for good: Landlock for whoever may be taken over.

Landlock knows no exceptions, so everything beside the way to them is allowed instead. From then on nothing
new can be made, moved or read directly in a folder on that way; a process that needs that cannot be confined
so. No thread or process that begins later gets out, mounts anything, or looks into a process that is not
confined likewise.

What another file system shows of the same files (an overlay's layers, a server on this machine) is not known
here. A bind mount is.

Source: Linux Documentation/userspace-api/landlock.rst.
"""

import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from macroslow.adapters.sandbox._mountinfo import Mounted, leading_to, mounted, shown
from macroslow.adapters.sandbox.inside import landlock, syscalls


def hindrance(hidden: Sequence[Path], needed: Sequence[Path]) -> str:
    """Why this process, which works in the folders `needed`, cannot deny itself `hidden`; empty if it can."""
    if sys.platform != "linux" or landlock.abi() < landlock.CONTENT_ABI:
        return f"it needs Landlock of ABI {landlock.CONTENT_ABI}, Linux 6.2"
    try:
        closed = _everywhere(hidden)
    except OSError as error:
        return _words(error)
    for folder in (path.resolve() for path in needed):
        for path in closed:
            if path == folder:
                return f"the gateway works in {path}"
            if path.is_relative_to(folder):
                return f"{path} lies inside {folder}, where the gateway works"
            if folder.is_relative_to(path):
                return f"{path} lies around {folder}, where the gateway works"
    return ""


def confine(hidden: Sequence[Path], needed: Sequence[Path]) -> str:
    """Deny this process the content of the folders `hidden`; why it did not work, empty if it did.

    Call it while there is one thread: others that there are would stay outside.
    """
    if why := hindrance(hidden, needed):
        return why
    if len(os.listdir("/proc/self/task")) != 1:  # noqa: PTH208
        return "other threads of this process run already"
    try:
        closed = _everywhere(hidden)
        allowed = [*_beside(closed)]
        syscalls.prctl(syscalls.PR_SET_NO_NEW_PRIVS, 1)
        landlock.restrict_content(allowed)
    except OSError as error:
        return _words(error)
    return _still_open(closed)


def _beside(closed: Sequence[Path]) -> Iterator[str]:
    """Everything that lies beside the way from the root to one of `closed`."""
    way = {folder for path in closed for folder in path.parents}
    for folder in way:
        for name in os.listdir(folder):  # noqa: PTH208
            path = folder / name
            if path not in way and path not in closed:
                yield str(path)


def _still_open(closed: Sequence[Path]) -> str:
    """Tried, not believed: the first file that can be read all the same."""
    for path in (each for top in closed for each in (top, *top.rglob("*")) if each.is_file()):
        try:
            os.close(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
        except PermissionError:
            continue
        return f"{path} can be read all the same"
    return ""


def _everywhere(hidden: Sequence[Path]) -> list[Path]:
    """The folders, and every other path of this process's mounts that leads to them or into them."""
    mounts = mounted()
    own = [path.resolve() for path in hidden]
    return [*own, *(other for path in own for other in _elsewhere(path, mounts))]


def _elsewhere(path: Path, mounts: Sequence[Mounted]) -> Iterator[Path]:
    for place in shown(mounts, str(path)):
        for other in map(Path, leading_to(mounts, place)):
            if not other.is_relative_to(path) and os.path.exists(other):  # noqa: PTH110 - closed to us is none to us
                yield other


def _words(error: OSError) -> str:
    return f"{error.strerror}{f' ({error.filename})' if error.filename else ''}"
