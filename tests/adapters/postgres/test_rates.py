"""The shared rates in PostgreSQL keep the contract, between two processes' stores."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from tests.contract.rate_store_contract import RateStoreContract, UnreachableContract, add_one, read
from tests.postgres import PostgresServer

from macroslow.adapters.postgres.rates import PostgresRates
from macroslow.errors import ConfigurationError, OverloadedError
from macroslow.limits.ports import RateStore


@pytest.fixture
async def stores(url: str) -> AsyncIterator[tuple[RateStore, RateStore]]:
    one, other = await PostgresRates.open(url), await PostgresRates.open(url)
    yield one, other
    await one.close()
    await other.close()


class TestPostgresRates(RateStoreContract):
    pass
