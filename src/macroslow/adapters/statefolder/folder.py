"""One folder holds all state. It belongs to one user, and to one process at a time.

The lock is `flock` on a file that is never removed: it ends with the process that holds it,
however that process ends, and the process's id in the file is for people only.
"""

import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from macroslow.errors import ConfigurationError, StateLockedError

CONTROL_SOCKET: Final = "control.sock"
KEYSTORE: Final = "keystore.sealed"
_LOCK: Final = "lock"
_GITIGNORE: Final = "# Keys and content: never commit this folder.\n*\n"


@dataclass(frozen=True, slots=True)
class StateFolder:
    """A folder that was found private. `prepare` makes these."""

    path: Path

    @property
    def control_socket(self) -> Path:
        """Where a running server listens for commands. May be longer than `sun_path` (see `control`)."""
        return self.path / CONTROL_SOCKET

    @property
    def has_keys(self) -> bool:
        """Whether the gateway's own keys were made already."""
        return (self.path / "keys").exists()

    def free_bytes(self) -> int:
        """What the disk has left for us; OSError if it does not answer."""
        found = os.statvfs(self.path)
        return found.f_bavail * found.f_frsize

    @property
    def keystore(self) -> Path:
        """The sealed store of providers' keys."""
        return self.path / KEYSTORE


def prepare(path: Path) -> StateFolder:
    """Return the folder, made with mode 0700 if there is none.

    Raises ConfigurationError, with the repair, if it is no folder, belongs to somebody else or
    can be changed by others.
    """
    try:
        _make(path)
        _check(path)
        _write_gitignore(path / ".gitignore")
    except OSError as error:
        raise ConfigurationError(
            f"the state folder {path} cannot be used: {error.strerror}",
            fix="make it usable, or name another one: [state] folder",
        ) from None
    return StateFolder(path)


@contextmanager
def hold(folder: StateFolder) -> Iterator[None]:
    """Hold the folder's lock; StateLockedError, with the holder's process id, if another process does."""
    lock = folder.path / _LOCK
    try:
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise ConfigurationError(f"{lock} cannot be opened: {error.strerror}", fix=f"check {lock}") from None
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise _locked(folder, os.read(descriptor, 32)) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
        os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)


def _make(path: Path) -> None:
    try:
        path.mkdir(mode=0o700, parents=True)
    except FileExistsError:
        return
    path.chmod(0o700)  # whatever the umask made of it


def _check(path: Path) -> None:
    found = path.stat()
    if not stat.S_ISDIR(found.st_mode):
        raise ConfigurationError(
            f"the state folder {path} is not a folder", fix="name another one: [state] folder"
        )
    if found.st_uid != os.geteuid():
        raise ConfigurationError(
            f"the state folder {path} belongs to user {found.st_uid}, not to us (user {os.geteuid()})",
            fix=f"run as user {found.st_uid}, or: chown -R {os.geteuid()} {path}",
        )
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise ConfigurationError(
            f"the state folder {path} can be changed by other users (mode {stat.S_IMODE(found.st_mode):04o})",
            fix=f"chmod 700 {path}",
        )


def _write_gitignore(path: Path) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        return
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(_GITIGNORE)


def _locked(folder: StateFolder, written: bytes) -> StateLockedError:
    holder = written.decode("ascii", "replace").strip()
    who = f"process {holder}" if holder.isdigit() else "another process"
    stop = f"stop it (kill {holder})" if holder.isdigit() else "stop it"
    return StateLockedError(
        f"the state folder {folder.path} is in use by {who}",
        fix=f"{stop}, or name another folder: [state] folder",
    )
