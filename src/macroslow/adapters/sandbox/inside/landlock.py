"""Landlock: what a process may reach even without namespaces.

Three uses: a *scope* (no abstract sockets and no signals beyond the domain) inside the native
sandbox, a whole domain of files and one TCP port where namespaces cannot be made, and a domain of all files
but some, for the gateway itself.

Source: Linux Documentation/userspace-api/landlock.rst, ABI 1 to 7.
"""

import ctypes
import os
import stat
import struct
from collections.abc import Iterable, Sequence
from typing import Final

from . import syscalls

SCOPE_ABI: Final = 6
TCP_ABI: Final = 4
CONTENT_ABI: Final = 3  # from here on it knows everything that changes or moves a file

_READ: Final = 0b1101  # execute, read files, list folders
_READ_FILE: Final = 0b0100
_WRITE_FILE: Final = 0b0010
_CONNECT_TCP: Final = 2
_BOTH_TCP: Final = 3
_BOTH_SCOPES: Final = 3
_RULE_PATH: Final = 1
_RULE_PORT: Final = 2
_VERSION_FLAG: Final = 1
_CONTENT: Final = 0b111111111110110  # all but executing files, listing folders and asking devices
# The number of file rights that each ABI knows, from ABI 1 on.
_FILE_RIGHTS: Final = (13, 14, 15, 15, 16)


def abi() -> int:
    """Return the kernel's Landlock version, 0 if it has none."""
    try:
        return syscalls.call("landlock_create_ruleset", 0, 0, _VERSION_FLAG)
    except OSError:
        return 0


def restrict_scope() -> None:
    """Keep signals and abstract sockets inside; does nothing before ABI 6."""
    if abi() >= SCOPE_ABI:
        _enforce(_ruleset(0, 0, _BOTH_SCOPES))


def restrict(readable: Sequence[str], writable: Sequence[str], devices: Sequence[str], port: int) -> None:
    """Allow only these paths and a TCP connection to `port` (0: none). Needs ABI 4, no_new_privs.

    Paths that do not exist are passed over.
    """
    version = abi()
    files = (1 << _FILE_RIGHTS[min(version, len(_FILE_RIGHTS)) - 1]) - 1
    ruleset = _ruleset(files, _BOTH_TCP, _BOTH_SCOPES if version >= SCOPE_ABI else 0)
    for path in readable:
        _allow_path(ruleset, path, _READ)
    for path in writable:
        _allow_path(ruleset, path, files)
    for path in devices:
        _allow_path(ruleset, path, _READ_FILE | _WRITE_FILE)
    if port:
        rule = ctypes.create_string_buffer(struct.pack("=QQ", _CONNECT_TCP, port))
        syscalls.call("landlock_add_rule", ruleset, _RULE_PORT, ctypes.byref(rule), 0)
    _enforce(ruleset)


def restrict_content(paths: Iterable[str]) -> None:
    """Allow the content of these paths alone to be read, written, made, removed or moved. Needs ABI 3.

    What can be executed and listed stays as it is. No link is followed: what it names has its own path.
    """
    ruleset = _ruleset(_CONTENT, 0, 0)
    for path in paths:
        _allow_path(ruleset, path, _CONTENT, follow=False)
    _enforce(ruleset)


def _ruleset(files: int, network: int, scoped: int) -> int:
    attributes = struct.pack("=QQQ", files, network, scoped)
    size = 24 if scoped else 16
    buffer = ctypes.create_string_buffer(attributes, len(attributes))
    return syscalls.call("landlock_create_ruleset", ctypes.byref(buffer), size, 0)


def _allow_path(ruleset: int, path: str, rights: int, *, follow: bool = True) -> None:
    try:
        target = os.open(path, os.O_PATH | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW))
    except FileNotFoundError:
        return
    try:
        mode = os.fstat(target).st_mode
        if stat.S_ISLNK(mode):
            return
        if not stat.S_ISDIR(mode):
            rights &= 0b100000000000111 | 1 << 15
        rule = ctypes.create_string_buffer(struct.pack("=Qi", rights, target))
        syscalls.call("landlock_add_rule", ruleset, _RULE_PATH, ctypes.byref(rule), 0)
    finally:
        os.close(target)


def _enforce(ruleset: int) -> None:
    syscalls.call("landlock_restrict_self", ruleset, 0)
    os.close(ruleset)
