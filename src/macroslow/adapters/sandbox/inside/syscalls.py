"""The Linux calls that Python lacks, through ctypes: each returns its result or raises OSError with a name.

Numbers: Linux UAPI, asm/unistd_64.h (x86_64) and asm-generic/unistd.h (aarch64).
"""

import ctypes
import os
import platform
import struct
from typing import Final

NEW_NS: Final = 0x00020000
NEW_CGROUP: Final = 0x02000000
NEW_UTS: Final = 0x04000000
NEW_IPC: Final = 0x08000000
NEW_USER: Final = 0x10000000
NEW_PID: Final = 0x20000000
NEW_NET: Final = 0x40000000

MS_NOSUID: Final = 0x2
MS_NODEV: Final = 0x4
MS_NOEXEC: Final = 0x8
MS_BIND: Final = 0x1000
MS_REC: Final = 0x4000
MS_PRIVATE: Final = 0x40000
MNT_DETACH: Final = 0x2

ATTR_RDONLY: Final = 0x1
ATTR_NOSUID: Final = 0x2
ATTR_NODEV: Final = 0x4
ATTR_NOEXEC: Final = 0x8

PR_SET_PDEATHSIG: Final = 1
PR_SET_DUMPABLE: Final = 4
PR_SET_SECCOMP: Final = 22
PR_CAPBSET_DROP: Final = 24
PR_SET_CHILD_SUBREAPER: Final = 36
PR_SET_NO_NEW_PRIVS: Final = 38
PR_CAP_AMBIENT: Final = 47
PR_CAP_AMBIENT_CLEAR_ALL: Final = 4

_AT_FDCWD: Final = -100
_RESOLVE_NO_SYMLINKS: Final = 0x4
_AT_EMPTY_PATH: Final = 0x1000
_AT_RECURSIVE: Final = 0x8000
_OPEN_TREE_CLONE: Final = 0x1
_OPEN_TREE_CLOEXEC: Final = 0x80000
_MOVE_MOUNT_F_EMPTY_PATH: Final = 0x4
_CAPABILITY_VERSION_3: Final = 0x20080522

# name: (x86_64, aarch64); the calls numbered from 424 on have one number everywhere.
_NUMBERS: Final = {
    "pivot_root": (155, 41),
    "capset": (126, 91),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "close_range": (436, 436),
    "openat2": (437, 437),
    "mount_setattr": (442, 442),
    "landlock_create_ruleset": (444, 444),
    "landlock_add_rule": (445, 445),
    "landlock_restrict_self": (446, 446),
}
_COLUMN: Final = 1 if platform.machine() == "aarch64" else 0
_LIBC: Final = ctypes.CDLL(None, use_errno=True)
_LIBC.syscall.restype = ctypes.c_long


def _checked(result: int, what: str) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")
    return result


def call(name: str, *arguments: object, what: str = "") -> int:
    """Make the system call `name`; integers go in as longs, bytes and buffers as pointers."""
    converted = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    return _checked(_LIBC.syscall(ctypes.c_long(_NUMBERS[name][_COLUMN]), *converted), what or name)


def unshare(flags: int, what: str) -> None:
    """Leave the namespaces in `flags` for new ones; `what` names them in an error."""
    _checked(_LIBC.unshare(ctypes.c_int(flags)), f"unshare({what})")


def setns(descriptor: int, kind: int) -> None:
    _checked(_LIBC.setns(ctypes.c_int(descriptor), ctypes.c_int(kind)), "setns")


def mount(source: str, target: str, kind: str = "", flags: int = 0, options: str = "") -> None:
    result = _LIBC.mount(
        source.encode(), target.encode(), kind.encode(), ctypes.c_ulong(flags), options.encode()
    )
    _checked(result, f"mount({kind or source} on {target})")


def detach(target: str) -> None:
    """Unmount `target` and everything below it as soon as nobody uses it."""
    _checked(_LIBC.umount2(target.encode(), ctypes.c_int(MNT_DETACH)), f"umount({target})")


def pivot_root(new: str, old: str) -> None:
    call("pivot_root", new.encode(), old.encode())


def clone_tree(path: str) -> int:
    """Return a descriptor of a detached copy of the mounts at `path`, with all below it.

    No symbolic link is followed, nowhere on the way: whoever may rename a folder could lead us elsewhere by
    one. OSError (ELOOP) where there is one.
    """
    place = _open_without_links(path)
    flags = _OPEN_TREE_CLONE | _OPEN_TREE_CLOEXEC | _AT_RECURSIVE | _AT_EMPTY_PATH
    try:
        return call("open_tree", place, b"", flags, what=f"open_tree({path})")
    finally:
        os.close(place)


def _open_without_links(path: str) -> int:
    how = ctypes.create_string_buffer(struct.pack("=QQQ", os.O_PATH | os.O_CLOEXEC, 0, _RESOLVE_NO_SYMLINKS))
    size = struct.calcsize("=QQQ")
    return call("openat2", _AT_FDCWD, os.fsencode(path), how, size, what=f"openat2({path}), no links")


def attach_tree(descriptor: int, path: str) -> None:
    """Mount what `clone_tree` returned at `path`."""
    call(
        "move_mount",
        descriptor,
        b"",
        _AT_FDCWD,
        path.encode(),
        _MOVE_MOUNT_F_EMPTY_PATH,
        what=f"move_mount({path})",
    )


class _MountAttributes(ctypes.Structure):
    _fields_ = (
        ("set", ctypes.c_uint64),
        ("clear", ctypes.c_uint64),
        ("propagation", ctypes.c_uint64),
        ("user_namespace", ctypes.c_uint64),
    )


def restrict_mounts(descriptor: int, attributes: int, *, recursive: bool = True) -> None:
    """Add ATTR_* flags to the mount at `descriptor`, and to all below it (Linux 5.12)."""
    wanted = _MountAttributes(attributes, 0, MS_PRIVATE, 0)
    flags = _AT_EMPTY_PATH | (_AT_RECURSIVE if recursive else 0)
    call("mount_setattr", descriptor, b"", flags, ctypes.byref(wanted), ctypes.sizeof(wanted))


def prctl(option: int, value: int = 0, pointer: object = 0, *, what: str = "prctl") -> None:
    third = ctypes.c_ulong(pointer) if isinstance(pointer, int) else pointer
    zero = ctypes.c_ulong(0)
    _checked(_LIBC.prctl(ctypes.c_int(option), ctypes.c_ulong(value), third, zero, zero), what)


def close_from(lowest: int) -> None:
    """Close every descriptor from `lowest` on."""
    call("close_range", lowest, 0xFFFFFFFF, 0)


class _CapabilityHeader(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


def drop_capabilities() -> None:
    """Give up all capabilities, now and for whatever is executed later."""
    for capability in range(64):
        try:
            prctl(PR_CAPBSET_DROP, capability)
        except OSError:  # past the last one, or not ours to drop: the next lines decide
            break
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, what="prctl(ambient)")
    header = _CapabilityHeader(_CAPABILITY_VERSION_3, 0)
    nothing = (ctypes.c_uint32 * 6)()
    call("capset", ctypes.byref(header), ctypes.byref(nothing))
