"""Books about people, in memory and on a file: what is erased and found is the same in both."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.adapters.sqlite.support import open_books
from tests.contract.fake_books import FakeBooks
from tests.services.audit.shelf import Shelf


@pytest.fixture(params=["memory", "sqlite"])
async def shelf(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Shelf]:
    if request.param == "memory":
        yield Shelf(FakeBooks())
        return
    books = await open_books(tmp_path / "books.sqlite")
    yield Shelf(books)
    await books.close()
