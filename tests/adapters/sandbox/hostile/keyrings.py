# ruff: noqa - a block of a document, not a module
"""Uses the kernel's keyrings, which belong to a user and not to a run."""

import ctypes

libc = ctypes.CDLL(None, use_errno=True)
for name, arguments in {
    "add_key": (248, b"user", b"stolen", b"payload", 7, -4),
    "request_key": (249, b"user", b"stolen", None, -4),
    "keyctl": (250, 0, -4, 0),
}.items():
    result = libc.syscall(*arguments)
    print("BREACH" if result >= 0 or ctypes.get_errno() != 1 else "contained", name, ctypes.get_errno())
