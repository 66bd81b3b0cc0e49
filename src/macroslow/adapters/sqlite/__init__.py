"""The books in SQLite."""

from macroslow.adapters.sqlite._subjects import Sealer
from macroslow.adapters.sqlite.books import COMMIT_WINDOW_NS, SqliteBooks

__all__ = ["COMMIT_WINDOW_NS", "Sealer", "SqliteBooks"]
