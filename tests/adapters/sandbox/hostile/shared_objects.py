# ruff: noqa - a block of a document, not a module
"""Looks for objects of the kernel that another run, or the host, has left; and leaves some."""

import ctypes

libc = ctypes.CDLL(None, use_errno=True)
KEY = 0x4D41
for name, number, *size in (("shmget", 29, 4096), ("msgget", 68), ("semget", 64, 1)):
    found = libc.syscall(number, KEY, *size, 0)
    print("BREACH" if found >= 0 else "contained", name, ctypes.get_errno())
    libc.syscall(number, KEY, *size, 0o1666)  # created, if that is allowed
