# ruff: noqa - a block of a document, not a module
"""Fails with words that no encoding can write."""

raise ValueError("half of a pair: \ud800")
