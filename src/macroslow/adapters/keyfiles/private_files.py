"""Files that hold secrets: read only where nobody else could.

A private file belongs to us, is a regular file with one name, and has no permission for group or
others; its folder likewise. Every refusal names the path and the command that mends it.
"""

import os
import stat
from pathlib import Path
from typing import Final

from macroslow import durable_files
from macroslow.errors import ConfigurationError

MAX_FILE_BYTES: Final = 256 * 1024  # a hand-over with the lines of many witnesses
FOLDER_MODE: Final = 0o700
RESTORE: Final = "restore it from a backup; without the sealing roots, sealed data cannot be opened"


def check_folder(path: Path) -> None:
    """Return if `path` is a folder of ours that others cannot enter; else ConfigurationError."""
    status = path.lstat()
    if not stat.S_ISDIR(status.st_mode):
        raise ConfigurationError(f"{path} is not a folder", fix=f"move {path} away")
    _check_owner_and_mode(path, status, "700")


def make_folder(path: Path) -> None:
    """Create a folder for private files; FileExistsError if there is something already."""
    path.mkdir(mode=FOLDER_MODE)
    path.chmod(FOLDER_MODE)  # whatever the umask is


def read(path: Path) -> bytes:
    """Return the content of a private file; ConfigurationError if others could touch it."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        detail = f"the key file {path} cannot be read: {error.strerror}"
        raise ConfigurationError(detail, fix=RESTORE) from error
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
            raise ConfigurationError(f"{path} is not a plain file with one name", fix=RESTORE)
        _check_owner_and_mode(path, status, "600")
        content = file.read(MAX_FILE_BYTES + 1)
    if len(content) > MAX_FILE_BYTES:
        raise ConfigurationError(f"{path} is too large for a key file", fix=RESTORE)
    return content


def text(path: Path) -> str:
    """`read` as text; what is no UTF-8 stays to be refused by whoever parses it."""
    return read(path).decode("utf-8", "surrogateescape")


def destroy(path: Path) -> None:
    """Overwrite the file and remove its name. What a disk keeps of overwritten blocks is its own affair."""
    with path.open("r+b") as file:
        file.write(bytes(os.fstat(file.fileno()).st_size))
        file.flush()
        os.fsync(file.fileno())
    path.unlink()
    durable_files.sync_folder(path.parent)


def _check_owner_and_mode(path: Path, status: os.stat_result, mode: str) -> None:
    if status.st_uid != os.geteuid():
        raise ConfigurationError(
            f"{path} belongs to user {status.st_uid}, not to us (user {os.geteuid()})",
            fix=f"chown {os.geteuid()} {path}, once you know who made it",
        )
    if status.st_mode & 0o077:
        raise ConfigurationError(
            f"others can read {path} (mode {stat.S_IMODE(status.st_mode):o})", fix=f"chmod {mode} {path}"
        )
