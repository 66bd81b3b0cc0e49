"""Files of ours that are there as a whole or not at all, whatever crashes, and for their owner alone."""

import os
from pathlib import Path
from typing import Final

MODE: Final = 0o600
_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def write_new(path: Path, content: bytes) -> None:
    """Create `path` with `content`, durable on return, less its name; FileExistsError if it exists."""
    with os.fdopen(os.open(path, _NEW, MODE), "wb") as file:
        os.fchmod(file.fileno(), MODE)  # whatever the umask is
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def replace(path: Path, content: bytes) -> None:
    """Give `path` this content, durable on return: all of it, or OSError and what was there before.

    One at a time: two at once could take each other's.
    """
    fresh = path.with_name(f"{path.name}.new")
    fresh.unlink(missing_ok=True)  # of one that crashed
    write_new(fresh, content)
    fresh.replace(path)
    sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Make the names in `path` durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
