# ruff: noqa - a block of a document, not a module
"""Fills the disk with empty files."""

import os
import time

for count in range(20_000):
    with open(f"{os.environ['TMPDIR']}/{count}", "wb"):
        if count > 3000:
            time.sleep(0.001)
print("BREACH")
