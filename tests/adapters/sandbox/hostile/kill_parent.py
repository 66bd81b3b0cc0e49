# ruff: noqa - a block of a document, not a module
"""Kills whatever it can, its own parent first, with every signal there is."""

import os
import signal
import time

for pid in (os.getppid(), 1, -1):
    try:
        os.kill(pid, signal.SIGKILL)
    except OSError as error:
        print("refused", pid, error.errno)
for pid in (os.getppid(), 1):
    for number in range(1, 65):
        try:
            os.kill(pid, number)
        except OSError as error:
            print("refused", pid, number, error.errno)
time.sleep(0.2)
print("contained")
