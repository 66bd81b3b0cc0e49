"""The shared rates in Redis keep the contract, between two processes' stores."""

from collections.abc import AsyncIterator

import pytest
from tests.contract.rate_store_contract import RateStoreContract
from tests.redis import RedisServer

from macroslow.adapters.redis import RedisRates
from macroslow.limits.ports import RateStore


@pytest.fixture
async def stores(server: RedisServer) -> AsyncIterator[tuple[RateStore, RateStore]]:
    one, other = await RedisRates.open(server.url), await RedisRates.open(server.url)
    yield one, other
    await one.close()
    await other.close()


class TestRedisRates(RateStoreContract):
    pass
