# ruff: noqa - a block of a document, not a module
"""Fills the disk."""

import os

written = 0
for count in range(64):
    with open(f"{os.environ['TMPDIR']}/{count}", "wb") as file:
        for _ in range(16):
            written += file.write(bytes(1 << 20))
            file.flush()
print("BREACH", written)
