# ruff: noqa - a block of a document, not a module
"""Returns a value so deep that its reader would fall."""

result = []
for _ in range(100_000):
    result = [result]
