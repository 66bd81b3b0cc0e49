# ruff: noqa - a block of a document, not a module
"""Returns more than anybody wants to read."""

result = "x" * (8 << 20)
