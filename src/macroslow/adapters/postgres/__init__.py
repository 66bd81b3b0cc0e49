"""The books in PostgreSQL, for several processes."""

from macroslow.adapters.postgres.books import COMMIT_WINDOW_NS, PostgresBooks

__all__ = ["COMMIT_WINDOW_NS", "PostgresBooks"]
