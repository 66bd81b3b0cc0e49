"""The books in SQLite keep the contract, with and without a window to gather in."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.adapters.sqlite.support import open_books
from tests.contract.books_contract import BooksContract
from tests.contract.log_contract import FullLogContract

from macroslow.adapters.sqlite import COMMIT_WINDOW_NS
from macroslow.workflow.books import Books


class TestSqliteBooks(BooksContract, FullLogContract):
    @pytest.fixture
    async def books(self, tmp_path: Path) -> AsyncIterator[Books]:
        books = await open_books(tmp_path / "books.sqlite")
        yield books
        await books.close()


class TestSqliteBooksWithAWindow(BooksContract, FullLogContract):
    @pytest.fixture
    async def books(self, tmp_path: Path) -> AsyncIterator[Books]:
        books = await open_books(tmp_path / "books.sqlite", commit_window_ns=COMMIT_WINDOW_NS)
        yield books
        await books.close()
