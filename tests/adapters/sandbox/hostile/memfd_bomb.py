# ruff: noqa - a block of a document, not a module
"""Fills files that no disk holds and no process maps."""

import os

for _ in range(100):
    descriptor = os.memfd_create("hoard")
    for _ in range(8):
        os.write(descriptor, bytes(1 << 20))
print("BREACH")
