# ruff: noqa - a block of a document, not a module
"""Fills its heap."""

hoard = []
while len(hoard) < 4096:
    hoard.append(bytearray(b"x" * (1 << 20)))
print("BREACH", len(hoard))
