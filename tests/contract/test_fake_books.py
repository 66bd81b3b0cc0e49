"""The books in memory keep the contract."""

import pytest
from tests.contract.books_contract import BooksContract
from tests.contract.fake_books import FakeBooks

from macroslow.workflow.books import Books


class TestFakeBooks(BooksContract):
    @pytest.fixture
    def books(self) -> Books:
        return FakeBooks()
