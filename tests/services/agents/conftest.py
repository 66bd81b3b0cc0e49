"""The tools of one gateway."""

import pytest
from tests.services.agents.asking import Use, using
from tests.services.house import House


@pytest.fixture
def use(house: House) -> Use:
    return using(house)
