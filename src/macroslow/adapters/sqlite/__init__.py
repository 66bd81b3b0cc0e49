"""The books in SQLite."""

from macroslow.adapters.sqlite._subjects import key_name
from macroslow.adapters.sqlite.books import COMMIT_WINDOW_NS, SqliteBooks
from macroslow.adapters.sqlite.counting import entries_in

__all__ = ["COMMIT_WINDOW_NS", "SqliteBooks", "entries_in", "key_name"]
