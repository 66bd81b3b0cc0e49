# ruff: noqa - a block of a document, not a module
"""Leaves a process behind that nobody waits for and no signal ends."""

import os
import signal
import time

if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        for number in range(1, 65):
            try:
                signal.signal(number, signal.SIG_IGN)
            except (OSError, ValueError):
                continue
        for descriptor in range(3):
            os.close(descriptor)
        time.sleep(300)
    os._exit(0)
os.wait()
print("contained")
