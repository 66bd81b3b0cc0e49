# ruff: noqa - a block of a document, not a module
"""Writes without end."""

import sys

while True:
    sys.stdout.write("x" * 100_000)
