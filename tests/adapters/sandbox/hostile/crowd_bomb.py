# ruff: noqa - a block of a document, not a module
"""Many processes, none of which is large."""

import os
import time

for _ in range(12):
    if os.fork() == 0:
        hoard = bytearray(b"x" * (40 << 20))
        time.sleep(60)
        os._exit(len(hoard) & 1)
time.sleep(60)
print("BREACH")
