"""Who is at the other end of a unix socket, by the kernel's word (SO_PEERCRED, unix(7))."""

import os
import socket
import stat
import struct
from pathlib import Path
from typing import Final

from macroslow.errors import ConfigurationError

_CREDENTIALS: Final = struct.Struct("=iII")  # struct ucred: process, user, group
_ROOT: Final = 0


def uid_of(channel: socket.socket) -> int:
    """The user who connected, or who listened when we did."""
    raw = channel.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    _, uid, _ = _CREDENTIALS.unpack(raw)
    return int(uid)


def reach(path: Path) -> socket.socket | None:
    """Go to the signer that listens at `path`; None where nothing does.

    ConfigurationError where it cannot be reached, or somebody else could have put his own there.
    """
    channel = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        channel.connect(str(path))  # to a local socket that listens: not waited for
        check_signer(channel, path)
    except (FileNotFoundError, ConnectionRefusedError):
        channel.close()
        return None
    except OSError as error:
        channel.close()
        raise unusable(path, error.strerror or "it cannot be reached") from None
    except ConfigurationError:
        channel.close()
        raise
    return channel


def check_signer(channel: socket.socket, path: Path) -> None:
    """Return if the socket stands where its listener, or root, alone could put it; else ConfigurationError.

    One that this process's own user runs is refused too: nothing would keep its keys from this process.
    """
    signer, found = uid_of(channel), path.parent.stat()
    if signer == os.geteuid():
        raise unusable(path, "it runs as this gateway's own user, and would keep nothing from it")
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH) or found.st_uid not in {_ROOT, signer}:
        raise unusable(path, f"others than user {signer}, who listens, can change {path.parent}")


def absent(path: Path) -> ConfigurationError:
    """The refusal where there is no signer."""
    return unusable(path, "nothing listens there")


def unusable(path: Path, why: str) -> ConfigurationError:
    """The refusal of the signer at `path`."""
    return ConfigurationError(
        f"the signer at {path} cannot be used: {why}",
        fix="start `macroslow signer` as another user, in a folder that only that user can change",
    )
