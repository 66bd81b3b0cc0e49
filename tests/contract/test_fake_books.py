"""The books in memory keep the contract."""

import pytest
from tests.contract.books_contract import BooksContract
from tests.contract.fake_books import FakeBooks
from tests.contract.log_contract import FullLogContract

from macroslow.workflow.books import Books


class TestFakeBooks(BooksContract, FullLogContract):
    @pytest.fixture
    def books(self) -> Books:
        return FakeBooks()
