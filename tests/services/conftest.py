"""One gateway's use cases, for every test of one that needs no other gateway than this."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.services.house import Ask, House, open_house


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with open_house(tmp_path) as opened:
        yield opened


@pytest.fixture
def ask(house: House) -> Ask:
    return house.ask
