"""The walls of the native backend: one jail for the zygote, and namespaces of its own for each run.

The jail is built once: a root of its own with nothing in it but read-only binds of the given
folders, five device nodes and three made-up files. As root it is built with root's eyes (an
interpreter below a closed home can be bound in) and entered as an unprivileged user: a process
mapped from host uid 0 would keep host uid 0's rights over files and /proc/sys.

The jail of a box has besides what its operator named, at the paths that it has outside.

What is bound was looked up, links and all, by a gateway that was sound; from then on no link is
followed. A jail may be built outside the domain of a gateway that was taken over since: it can
move folders and put links in their place, but can move neither what it denied itself nor a folder
above that, so no path without links comes to lead there.

Each run adds: pid, mount, network, IPC, UTS and last a user namespace (so the code owns none of
the mounts), one tmpfs for everything writable, one /proc that shows processes only.
"""

import fcntl
import os
import socket
import stat
import struct
from collections.abc import Mapping
from typing import Final

from . import syscalls

WORK: Final = "/maml"
INSIDE_ID: Final = 1000
DEVICES: Final = ("null", "zero", "full", "random", "urandom")

_ROOT: Final = "/tmp"  # noqa: S108 - only a place to mount on, in a mount namespace of our own
_TOP_LEVEL: Final = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
_FILES: Final = {
    "/etc/passwd": f"maml:x:{INSIDE_ID}:{INSIDE_ID}::{WORK}:/bin/bash\n",
    "/etc/group": f"maml:x:{INSIDE_ID}:\n",
    "/etc/hosts": "127.0.0.1 localhost\n::1 localhost\n",
}
_LINKS: Final = {
    "/tmp": f"{WORK}/.tmp",  # noqa: S108
    "/dev/shm": f"{WORK}/.shm",  # noqa: S108
    "/dev/fd": "/proc/self/fd",
    "/dev/stdin": "/proc/self/fd/0",
    "/dev/stdout": "/proc/self/fd/1",
    "/dev/stderr": "/proc/self/fd/2",
}
_RUN_NAMESPACES: Final = syscalls.NEW_NS | syscalls.NEW_NET | syscalls.NEW_IPC | syscalls.NEW_UTS
_JAIL_NAMESPACES: Final = syscalls.NEW_USER | syscalls.NEW_PID | syscalls.NEW_CGROUP | _RUN_NAMESPACES
_SIOCSIFFLAGS: Final = 0x8914
_IFF_UP: Final = 0x1


def become(uid: int) -> None:
    """Give up root for `uid`, for good, and drop the supplementary groups."""
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    syscalls.prctl(syscalls.PR_SET_DUMPABLE, 1)  # else /proc/self, where ids are mapped, is root's


def enter_jail(folders: Mapping[str, str], mounts: Mapping[str, bool], uid: int) -> int:
    """Move into the jail. Returns 0 in the child that lives there, its pid in the parent.

    `folders` says of each path where it really is, `mounts` of each whether it may be written; `uid` is who
    root becomes, others stay who they are.
    """
    if os.geteuid() == 0:
        syscalls.unshare(syscalls.NEW_NS, "mount")
        syscalls.mount("", "/", flags=syscalls.MS_REC | syscalls.MS_PRIVATE)
        _build_root(folders, mounts)
        become(uid)
        _unshare_jail()
    else:
        _unshare_jail()
        syscalls.mount("", "/", flags=syscalls.MS_REC | syscalls.MS_PRIVATE)
        _build_root(folders, mounts)
    pid = os.fork()
    if pid == 0:
        syscalls.prctl(syscalls.PR_SET_PDEATHSIG, 9)
        _enter_root()
        syscalls.prctl(syscalls.PR_SET_DUMPABLE, 0)
    return pid


def _unshare_jail() -> None:
    uid, gid = os.geteuid(), os.getegid()
    syscalls.unshare(_JAIL_NAMESPACES, "user, pid, mount, network, ipc, uts, cgroup")
    _map_ids(uid, gid)


def _map_ids(uid: int, gid: int) -> None:
    """Make the caller INSIDE_ID in its new user namespace, and nobody else exist in it."""
    _write("/proc/self/setgroups", "deny")
    _write("/proc/self/uid_map", f"{INSIDE_ID} {uid} 1")
    _write("/proc/self/gid_map", f"{INSIDE_ID} {gid} 1")


def _write(path: str, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)


def _build_root(folders: Mapping[str, str], mounts: Mapping[str, bool]) -> None:
    """Mount the new root at `_ROOT`. All sources are opened first: the root may hide some of them."""
    binds = {path: _bound(place) for path, place in folders.items()}
    named = {path: _bound(path, writable=writable) for path, writable in mounts.items()}
    for name in _TOP_LEVEL:
        path = f"/{name}"
        if os.path.isdir(path) and not os.path.islink(path):  # noqa: PTH112, PTH114
            binds[path] = _bound(path)
    devices = {f"/dev/{name}": syscalls.clone_tree(f"/dev/{name}") for name in DEVICES}
    links = {f"/{name}": os.readlink(f"/{name}") for name in _TOP_LEVEL if os.path.islink(f"/{name}")}  # noqa: PTH114, PTH115
    flags = syscalls.MS_NOSUID | syscalls.MS_NODEV
    syscalls.mount("tmpfs", _ROOT, "tmpfs", flags, "mode=755,size=1m,nr_inodes=1k")
    for path in ("/proc", "/dev", "/etc", WORK):
        os.makedirs(_ROOT + path, exist_ok=True)  # noqa: PTH103
    for path, tree in sorted(binds.items()):
        os.makedirs(_ROOT + path, exist_ok=True)  # noqa: PTH103
        syscalls.attach_tree(tree, _ROOT + path)
        os.close(tree)
    for path, tree in devices.items():
        _write(_ROOT + path, "")
        syscalls.restrict_mounts(tree, syscalls.ATTR_NOSUID | syscalls.ATTR_NOEXEC)
        syscalls.attach_tree(tree, _ROOT + path)
        os.close(tree)
    for path, text in _FILES.items():
        _write(_ROOT + path, text)
    for path, target in {**_LINKS, **links}.items():
        # A bound folder may lie below /tmp.
        if not os.path.lexists(_ROOT + path) and not any(name.startswith(f"{path}/") for name in mounts):
            os.symlink(target, _ROOT + path)  # noqa: PTH211
    for path, tree in sorted(named.items()):  # last, so that nothing above is written into one of them
        _show(tree, path)


def _bound(path: str, *, writable: bool = False) -> int:
    tree = syscalls.clone_tree(path)
    flags = syscalls.ATTR_NOSUID | syscalls.ATTR_NODEV
    syscalls.restrict_mounts(tree, flags if writable else flags | syscalls.ATTR_RDONLY)
    return tree


def _show(tree: int, path: str) -> None:
    """Mount a folder or a file at its own path."""
    target = _ROOT + path
    if stat.S_ISDIR(os.fstat(tree).st_mode):
        os.makedirs(target, exist_ok=True)  # noqa: PTH103
    elif not os.path.exists(target):  # noqa: PTH110
        os.makedirs(os.path.dirname(target), exist_ok=True)  # noqa: PTH103, PTH120
        _write(target, "")
    syscalls.attach_tree(tree, target)
    os.close(tree)


def _enter_root() -> None:
    """Make `_ROOT` the root, read-only, and let go of the old one. Runs as pid 1 of the jail."""
    # A mount that came from a stronger namespace cannot become the root; a bind of it can.
    syscalls.mount(_ROOT, _ROOT, flags=syscalls.MS_BIND | syscalls.MS_REC)
    os.chdir(_ROOT)
    flags = syscalls.MS_NOSUID | syscalls.MS_NODEV | syscalls.MS_NOEXEC
    # While the host's /proc is in sight: the kernel grants a new one only to who sees one already.
    syscalls.mount("proc", f"{_ROOT}/proc", "proc", flags)
    syscalls.pivot_root(".", ".")
    syscalls.detach(".")
    os.chdir("/")
    root = os.open("/", os.O_PATH | os.O_CLOEXEC)
    syscalls.restrict_mounts(root, syscalls.ATTR_RDONLY, recursive=False)
    os.close(root)


def enter_run(file_bytes: int, files: int) -> None:
    """Give pid 1 of a new run namespaces and a work folder of its own, and take its rights over them."""
    syscalls.unshare(_RUN_NAMESPACES, "mount, network, ipc, uts")
    flags = syscalls.MS_NOSUID | syscalls.MS_NODEV
    owner = f"mode=700,uid={INSIDE_ID},gid={INSIDE_ID}"
    # Five inodes are the root, the two folders in it and the two files of the gateway.
    syscalls.mount("work", WORK, "tmpfs", flags, f"{owner},size={file_bytes},nr_inodes={files + 5}")
    syscalls.mount("proc", "/proc", "proc", flags | syscalls.MS_NOEXEC, "subset=pid")
    _raise_loopback()
    syscalls.prctl(syscalls.PR_SET_DUMPABLE, 1)
    syscalls.unshare(syscalls.NEW_USER, "user")
    _map_ids(INSIDE_ID, INSIDE_ID)


def _raise_loopback() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", _IFF_UP))


def listen() -> tuple[socket.socket, int]:
    """Return a listening socket on this network namespace's loopback and its port."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.bind(("127.0.0.1", 0))
    listener.listen(64)
    return listener, listener.getsockname()[1]
