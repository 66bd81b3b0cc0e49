"""The books in SQLite."""

from macroslow.adapters.sqlite._subjects import key_name
from macroslow.adapters.sqlite.books import COMMIT_WINDOW_NS, SqliteBooks

__all__ = ["COMMIT_WINDOW_NS", "SqliteBooks", "key_name"]
