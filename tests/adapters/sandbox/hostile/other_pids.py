# ruff: noqa - a block of a document, not a module
"""Signals processes outside."""

import os
import signal

for pid in map(int, inputs["pids"]):
    for number in (0, signal.SIGTERM, signal.SIGKILL):
        try:
            os.kill(pid, number)
        except OSError as error:
            print("contained", pid, number, error.errno)
        else:
            # A process of its own namespace may have that number by chance; only we live there.
            print("BREACH", pid, number)
