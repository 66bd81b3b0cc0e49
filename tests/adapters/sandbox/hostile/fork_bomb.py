# ruff: noqa - a block of a document, not a module
"""Forks without end; every child stays."""

import os
import time

count = 0
while count < 10_000:
    try:
        if os.fork() == 0:
            time.sleep(60)
            os._exit(0)
    except BlockingIOError:
        break
    count += 1
print("contained" if count < 64 else "BREACH", count)
raise SystemExit(3)
