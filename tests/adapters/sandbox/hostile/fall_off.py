# ruff: noqa - a block of a document, not a module
"""Forks and lets both run off the end of the block."""

import os

if os.fork() == 0:
    print("child")
else:
    os.wait()
    print("contained")
