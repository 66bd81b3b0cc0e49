# ruff: noqa - a block of a document, not a module
"""Returns a number that JSON does not have."""

result = {"value": float("nan")}
