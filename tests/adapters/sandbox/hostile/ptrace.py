# ruff: noqa - a block of a document, not a module
"""Tries to take over other processes."""

import ctypes
import os

libc = ctypes.CDLL(None, use_errno=True)
buffer = ctypes.create_string_buffer(64)
vector = (ctypes.c_void_p * 2)(ctypes.addressof(buffer), 64)
for pid in {1, os.getppid(), *map(int, inputs["pids"])}:
    for name, result in (
        ("attach", libc.ptrace(16, pid, None, None)),
        ("seize", libc.ptrace(0x4206, pid, None, None)),
        ("readv", libc.process_vm_readv(pid, vector, 1, vector, 1, 0)),
        ("kcmp", libc.syscall(312, pid, os.getpid(), 0, 0, 0)),
    ):
        print("BREACH" if result >= 0 else "contained", name, pid, ctypes.get_errno())
    try:
        with open(f"/proc/{pid}/mem", "rb") as file:
            print("BREACH", "mem", file.fileno())
    except OSError as error:
        print("contained", "mem", error.errno)
print("contained" if libc.ptrace(0, 0, None, None) < 0 else "BREACH", "traceme")
