# ruff: noqa - a block of a document, not a module
"""Makes namespaces of its own, in which it would have rights again."""

import ctypes

libc = ctypes.CDLL(None, use_errno=True)
NEW = (0x10000000, 0x20000, 0x40000000, 0x20000000, 0x08000000, 0x04000000, 0x02000000)
for flag in NEW:
    print("BREACH" if libc.unshare(flag) >= 0 else "contained", "unshare", hex(flag), ctypes.get_errno())
    child = libc.syscall(56, flag | 17, 0, 0, 0, 0)
    if child == 0:
        libc._exit(0)
    print("BREACH" if child > 0 else "contained", "clone", hex(flag), ctypes.get_errno())
arguments = (ctypes.c_uint64 * 11)(0x10000000)
print("BREACH" if libc.syscall(435, arguments, 88) >= 0 else "contained", "clone3", ctypes.get_errno())
print("BREACH" if libc.setns(0, 0) >= 0 else "contained", "setns", ctypes.get_errno())
