# ruff: noqa - a block of a document, not a module
"""Fills memory that belongs to no heap."""

import mmap

for count in range(64):
    area = mmap.mmap(-1, 32 << 20)
    for page in range(0, 32 << 20, 4096):
        area[page] = 1
    globals()[f"area_{count}"] = area
print("BREACH")
