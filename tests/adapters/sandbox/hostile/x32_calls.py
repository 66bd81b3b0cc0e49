# ruff: noqa - a block of a document, not a module
"""Makes a system call by its x32 number, which a filter of plain numbers would miss."""

import ctypes

print("BREACH", ctypes.CDLL(None).syscall(0x40000000 + 39))
