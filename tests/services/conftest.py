"""One gateway's use cases, for every test of one that needs no other gateway than this."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.adapters.sqlite.support import open_books
from tests.contract.fake_books import FakeBooks
from tests.services.house import Ask, House, open_house
from tests.services.shelf import Shelf


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with open_house(tmp_path) as opened:
        yield opened


@pytest.fixture
def ask(house: House) -> Ask:
    return house.ask


@pytest.fixture(params=["memory", "sqlite"])
async def shelf(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Shelf]:
    if request.param == "memory":
        yield Shelf(FakeBooks())
        return
    books = await open_books(tmp_path / "books.sqlite")
    yield Shelf(books)
    await books.close()
