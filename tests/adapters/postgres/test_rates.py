"""The shared rates in PostgreSQL keep the contract, between two stores and through the server's deaths."""

import asyncio
import signal
from collections.abc import AsyncIterator

import pytest
from tests.contract.rate_store_contract import RateStoreContract, UnreachableContract, add_one
from tests.postgres import PostgresServer

from macroslow.adapters.postgres.rates import PostgresRates
from macroslow.limits.ports import RateStore
from macroslow.services.calls.rate_rounds import RateRounds


@pytest.fixture
async def stores(url: str) -> AsyncIterator[tuple[RateStore, RateStore]]:
    one, other = RateRounds(await PostgresRates.open(url)), RateRounds(await PostgresRates.open(url))
    yield one, other
    await one.close()
    await other.close()


class TestPostgresRates(RateStoreContract):
    pass


class TestPostgresOutOfReach(UnreachableContract):
    @pytest.fixture
    async def unreachable(self, server: PostgresServer) -> AsyncIterator[RateStore]:
        store = RateRounds(await PostgresRates.open(server.url))
        server.stop()
        yield store
        await store.close()
        server.start()


@pytest.mark.parametrize(("number", "left"), [(signal.SIGINT, 4), (signal.SIGQUIT, 1)])
async def test_a_shutdown_keeps_the_states_and_a_crash_may_lose_them_all_at_once(
    server: PostgresServer, number: signal.Signals, left: int
) -> None:
    store = RateRounds(await PostgresRates.open(server.url))
    assert await asyncio.gather(*(store.change("k", add_one) for _ in range(3))) == [1, 2, 3]
    server.restart(number)
    assert await store.change("k", add_one) == left
    await store.close()


async def test_a_clock_that_was_set_back_does_not_run_backwards_for_a_key(
    server: PostgresServer, stores: tuple[RateStore, RateStore]
) -> None:
    future_ns = await stores[0].change("k", lambda _, now_ns: (b"x", now_ns)) + 3_600 * 10**9
    server.sql(f"UPDATE macroslow.rates SET stamp_ns = {future_ns}")
    assert await stores[1].change("k", lambda state, now_ns: (state, now_ns)) > future_ns


async def test_states_that_nobody_changed_for_a_day_are_forgotten(server: PostgresServer) -> None:
    one = RateRounds(await PostgresRates.open(server.url))
    await one.change("old", add_one)
    await one.close()
    server.sql("UPDATE macroslow.rates SET stamp_ns = stamp_ns - 86400000000000")
    other = RateRounds(await PostgresRates.open(server.url))
    await other.change("new", add_one)
    assert server.sql("SELECT key FROM macroslow.rates") == "new"
    await other.close()
