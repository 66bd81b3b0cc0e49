# ruff: noqa - a block of a document, not a module
"""Changes the file system's shape."""

import ctypes
import os

libc = ctypes.CDLL(None, use_errno=True)
for name, attempt in {
    "mount": lambda: libc.mount(b"tmpfs", b"/usr", b"tmpfs", 0, None),
    "remount": lambda: libc.mount(None, b"/usr", None, 0x1020, None),
    "umount": lambda: libc.umount2(b"/proc", 2),
    "pivot_root": lambda: libc.syscall(155, b"/", b"/"),
    "chroot": lambda: libc.chroot(b"/"),
    "open_tree": lambda: libc.syscall(428, -100, b"/", 1),
    "fsopen": lambda: libc.syscall(430, b"proc", 0),
    "mount_setattr": lambda: libc.syscall(442, -100, b"/", 0, 0, 0),
}.items():
    print("BREACH" if attempt() >= 0 else "contained", name, ctypes.get_errno())
for path in ("/", "/usr", "/etc", "/dev", "/proc/sys/kernel", "/usr/bin"):
    try:
        with open(f"{path}/planted", "w") as file:
            print("BREACH", path, file.fileno())
    except OSError as error:
        print("contained", path, error.errno)
try:
    os.mknod(os.environ["TMPDIR"] + "/disk", 0o60666, os.makedev(254, 0))
    print("BREACH mknod")
except OSError as error:
    print("contained mknod", error.errno)
