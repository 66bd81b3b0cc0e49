"""A work folder on the host's disk, for a run that cannot mount one: made, measured and removed.

Its content is hostile: links are never followed, and neither deep nesting nor closed folders help it stay.
"""

import errno
import itertools
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path


def make(owner: int | None) -> str:
    """Return a new folder that only `owner` (None: ourselves) may enter."""
    path = tempfile.mkdtemp(prefix="macroslow-run-")
    if owner is not None:
        os.chown(path, owner, owner)
    return path


def use(path: str, most_files: int) -> tuple[int, int]:
    """Bytes on disk and files below `path`, counted no further than `most_files`.

    What cannot be looked into (closed, or nested too deep) counts as `most_files`.
    """
    held_bytes = files = 0
    waiting = [path]
    while waiting and files < most_files:
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    files += 1
                    held_bytes += entry.stat(follow_symlinks=False).st_blocks * 512
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
        except FileNotFoundError:
            continue
        except OSError:
            return held_bytes, most_files
    return held_bytes, files


def remove(path: str) -> None:
    """Remove the folder and all in it. Nothing may run in it any more."""
    top = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    fresh = (f"macroslow-{number}" for number in itertools.count())
    try:
        while names := os.listdir(top):  # noqa: PTH208 - by descriptor
            for name in names:
                _lift(top, name, fresh)
    finally:
        os.close(top)
    Path(path).rmdir()


def _lift(top: int, name: str, fresh: Iterator[str]) -> None:
    """Remove one entry; the folders in it become entries of `top`, so that depth costs nothing."""
    if not _is_folder(top, name):
        os.unlink(name, dir_fd=top)
        return
    os.chmod(name, 0o700, dir_fd=top)
    folder = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=top)
    try:
        for inner in os.listdir(folder):  # noqa: PTH208
            if _is_folder(folder, inner):
                os.chmod(inner, 0o700, dir_fd=folder)  # a closed folder cannot be moved
                _move(folder, inner, top, fresh)
            else:
                os.unlink(inner, dir_fd=folder)
    finally:
        os.close(folder)
    os.rmdir(name, dir_fd=top)


def _move(source: int, name: str, target: int, fresh: Iterator[str]) -> None:
    """Move a folder under a name that is not taken; an empty folder of that name may be replaced."""
    for new_name in fresh:
        try:
            os.rename(name, new_name, src_dir_fd=source, dst_dir_fd=target)
        except OSError as error:
            if error.errno not in {errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR}:
                raise
        else:
            return


def _is_folder(parent: int, name: str) -> bool:
    return stat.S_ISDIR(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode)
