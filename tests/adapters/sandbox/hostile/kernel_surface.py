# ruff: noqa - a block of a document, not a module
"""Opens the parts of the kernel that sandboxes are left through."""

import ctypes

libc = ctypes.CDLL(None, use_errno=True)
zeros = ctypes.create_string_buffer(256)
calls = {"io_uring_setup": 425, "bpf": 321, "perf_event_open": 298, "userfaultfd": 323, "memfd_secret": 447}
for name, number in calls.items():
    result = libc.syscall(number, 8, zeros, 0, 0, 0)
    print("BREACH" if result >= 0 or ctypes.get_errno() != 1 else "contained", name, ctypes.get_errno())
