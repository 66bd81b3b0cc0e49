"""A process that was taken over, and goes for a file: `confined_process.py HIDDEN WORK PID FD confined|free`.

HIDDEN holds `log.json`; PID is a process of the same user that has it open as FD. Writes one JSON object:
what came of each attempt.
"""

import ctypes
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from macroslow.adapters.sandbox import confine
from macroslow.adapters.sandbox.inside import syscalls

HIDDEN, WORK = Path(sys.argv[1]), Path(sys.argv[2])
PID, FD = int(sys.argv[3]), int(sys.argv[4])
SEED = HIDDEN / "log.json"
_HERE, _FOLLOW = -100, 0x400  # AT_FDCWD, AT_SYMLINK_FOLLOW
_PTRACE_ATTACH, _PTRACE_DETACH = 16, 17
_LIBC = ctypes.CDLL(None, use_errno=True)


def read(path: object) -> str:
    return Path(str(path)).read_text()


def by_folder() -> str:
    folder = os.open(HIDDEN, os.O_PATH)
    return os.fdopen(os.open("log.json", os.O_RDONLY, dir_fd=folder)).read()


def from_within() -> str:
    os.chdir(HIDDEN)
    try:
        return read("log.json")
    finally:
        os.chdir("/")


def by_path_descriptor() -> str:
    return read(f"/proc/self/fd/{os.open(SEED, os.O_PATH)}")


def by_symlink() -> str:
    (WORK / "symlink").symlink_to(SEED)
    return read(WORK / "symlink")


def by_hard_link() -> str:
    os.link(SEED, WORK / "link")
    return read(WORK / "link")


def by_hard_link_of_descriptor() -> str:
    descriptor = os.open(SEED, os.O_PATH)
    named = f"/proc/self/fd/{descriptor}".encode(), bytes(WORK / "link2")
    if _LIBC.linkat(_HERE, named[0], _HERE, named[1], _FOLLOW):
        raise OSError(ctypes.get_errno(), "linkat")
    return read(WORK / "link2")


def by_rename() -> str:
    SEED.rename(WORK / "seed")
    (WORK / "seed").rename(SEED)
    return "moved"


def by_rename_of_folder() -> str:
    HIDDEN.rename(WORK / "folder")
    (WORK / "folder").rename(HIDDEN)
    return "moved"


def by_rename_of_a_folder_above() -> str:
    HIDDEN.parent.rename(WORK / "above")
    (WORK / "above").rename(HIDDEN.parent)
    return "moved"


def mounted() -> str:
    """In a namespace of its own, so that nothing stays."""
    script = (
        "import os, sys\n"
        "from macroslow.adapters.sandbox.inside import syscalls as s\n"
        "s.unshare(s.NEW_NS | (s.NEW_USER if os.geteuid() else 0), 'ns')\n"
        "s.mount('', '/', flags=s.MS_REC | s.MS_PRIVATE)\n"
        "s.mount(sys.argv[1], sys.argv[2], flags=s.MS_BIND)\n"
        "print(open(sys.argv[2] + '/log.json').read())\n"
    )
    (WORK / "mounted").mkdir()
    return child("-c", script, str(HIDDEN), str(WORK / "mounted"))


def child(*arguments: str) -> str:
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise PermissionError(1, done.stderr.splitlines()[-1])
    return done.stdout


def by_child() -> str:
    return child("-c", "import sys; print(open(sys.argv[1]).read())", str(SEED))


def by_thread() -> str:
    told: list[object] = []

    def look() -> None:
        try:
            told.append(read(SEED))
        except OSError as error:
            told.append(error)

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    if isinstance(told[0], OSError):
        raise told[0]
    return str(told[0])


def by_ptrace() -> str:
    null = ctypes.c_void_p(0)
    if _LIBC.ptrace(_PTRACE_ATTACH, PID, null, null) < 0:
        raise OSError(ctypes.get_errno(), "ptrace")
    os.waitpid(PID, 0)
    _LIBC.ptrace(_PTRACE_DETACH, PID, null, null)
    return "attached"


def by_pidfd() -> str:
    number = 438  # pidfd_getfd
    taken = _LIBC.syscall(ctypes.c_long(number), os.pidfd_open(PID), FD, 0)
    if taken < 0:
        raise OSError(ctypes.get_errno(), "pidfd_getfd")
    return "taken"


def replace() -> str:
    SEED.write_text("mine")
    return "written"


def remove() -> str:
    (HIDDEN / "history.json").unlink()
    return "removed"


def plant() -> str:
    (HIDDEN / "planted").write_text("mine")
    return "planted"


def plant_a_folder() -> str:
    (HIDDEN.parent / "other").mkdir()
    return "planted"


def truncate() -> str:
    os.truncate(SEED, 0)
    return "truncated"


ATTEMPTS: dict[str, Callable[[], str]] = {
    "read": lambda: read(SEED),
    "read by /proc/self/root": lambda: read(f"/proc/self/root{SEED}"),
    "read by the folder": by_folder,
    "read from within": from_within,
    "read by a path descriptor": by_path_descriptor,
    "read by a symlink": by_symlink,
    "read by a hard link": by_hard_link,
    "read by a hard link of a descriptor": by_hard_link_of_descriptor,
    "read in a child": by_child,
    "read in a thread": by_thread,
    "read by another's root": lambda: read(f"/proc/{PID}/root{SEED}"),
    "read by another's descriptor": lambda: read(f"/proc/{PID}/fd/{FD}"),
    "take another's descriptor": by_pidfd,
    "read another's memory": lambda: str(os.open(f"/proc/{PID}/mem", os.O_RDONLY)),
    "attach to another": by_ptrace,
    "move the file": by_rename,
    "move the folder": by_rename_of_folder,
    "move the folder above": by_rename_of_a_folder_above,
    "mount the folder": mounted,
    "plant a file": plant,
    "plant a folder beside": plant_a_folder,
    "remove a file": remove,
    "replace the file": replace,
    "empty the file": truncate,
}


def work() -> str:
    """What a gateway does all day."""
    (WORK / "a").mkdir()
    (WORK / "b").mkdir()
    (WORK / "a" / "file").write_text("x")
    (WORK / "a" / "file").rename(WORK / "b" / "file")
    os.link(WORK / "b" / "file", WORK / "a" / "again")
    read("/proc/self/status")
    Path("/dev/null").write_text("x")
    os.kill(PID, signal.SIGCONT)
    read(f"/proc/{PID}/stat")
    return child("-c", "import json, sqlite3; print('works')").strip()


def main() -> None:
    told = {"confined": confine([HIDDEN], [WORK])} if sys.argv[5] == "confined" else {}
    for name, attempt in ATTEMPTS.items():
        try:
            attempt()
        except OSError as error:
            told[name] = error.strerror or str(error)
        else:
            told[name] = "done"
    told["work"] = work()
    told["no new privileges"] = str("NoNewPrivs:\t1" in read("/proc/self/status"))
    print(json.dumps(told))


if __name__ == "__main__":
    assert syscalls.NEW_NS  # it is imported before anything is denied
    main()
