"""The books in PostgreSQL keep the contract."""

from collections.abc import AsyncIterator

import pytest
from tests.adapters.postgres.support import open_books
from tests.contract.books_contract import BooksContract
from tests.contract.log_contract import FullLogContract

from macroslow.workflow.books import Books


class TestPostgresBooks(BooksContract, FullLogContract):
    @pytest.fixture
    async def books(self, url: str) -> AsyncIterator[Books]:
        books = await open_books(url)
        yield books
        await books.close()
