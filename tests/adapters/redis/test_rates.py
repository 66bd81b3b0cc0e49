"""The shared rates in Redis keep the contract, between two stores and between two real processes."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.contract.rate_store_contract import RateStoreContract, UnreachableContract, add_one
from tests.redis import RedisServer, redis_server

from macroslow.adapters.redis import RedisRates
from macroslow.errors import ConfigurationError, OverloadedError
from macroslow.limits.ports import RateStore
from macroslow.services.calls.rate_rounds import RateRounds

ROOT = Path(__file__).parents[3]


@pytest.fixture
async def stores(server: RedisServer) -> AsyncIterator[tuple[RateStore, RateStore]]:
    one, other = RateRounds(await RedisRates.open(server.url)), RateRounds(await RedisRates.open(server.url))
    yield one, other
    await one.close()
    await other.close()


class TestRedisRates(RateStoreContract):
    pass


class TestRedisOutOfReach(UnreachableContract):
    @pytest.fixture
    async def unreachable(self) -> AsyncIterator[RateStore]:
        with redis_server() as server:
            store = RateRounds(await RedisRates.open(server.url))
        yield store
        await store.close()


async def test_a_restart_loses_states_and_scripts_and_nothing_else(server: RedisServer) -> None:
    store = RateRounds(await RedisRates.open(server.url))
    assert await asyncio.gather(*(store.change("k", add_one) for _ in range(3))) == [1, 2, 3]
    server.restart()
    assert await store.change("k", add_one) == 1
    server.ask("script", "flush")
    assert await store.change("k", add_one) == 2
    await store.close()


async def test_while_the_server_is_away_every_caller_is_refused_and_afterwards_all_goes_on(
    server: RedisServer,
) -> None:
    store = RateRounds(await RedisRates.open(server.url))
    server.stop()
    try:
        outcomes = await asyncio.gather(
            *(store.change(f"k{n % 2}", add_one) for n in range(6)), return_exceptions=True
        )
    finally:
        server.start()
    assert {type(outcome) for outcome in outcomes} == {OverloadedError}
    assert await store.change("k0", add_one) == 1
    await store.close()


async def test_a_clock_that_was_set_back_does_not_run_backwards_for_a_key(
    server: RedisServer, stores: tuple[RateStore, RateStore]
) -> None:
    future_ns = await stores[0].change("k", lambda _, now_ns: (b"x", now_ns)) + 3_600 * 10**9
    server.ask("eval", f"redis.call('setrange', 'macroslow:rate:k', 0, '{_lua(future_ns)}')", "0")
    assert await stores[1].change("k", lambda state, now_ns: (state, now_ns)) > future_ns


async def test_a_state_is_forgotten_a_day_after_its_last_change(
    server: RedisServer, stores: tuple[RateStore, RateStore]
) -> None:
    await stores[0].change("k", add_one)
    assert 86_000 < int(server.ask("ttl", "macroslow:rate:k")) <= 86_400


@pytest.mark.parametrize(
    "url", ["", "not a url", "postgresql://host/db", "redis://127.0.0.1:1/0", "unix:///nowhere/redis"]
)
async def test_a_server_that_cannot_be_reached_is_a_clear_refusal_to_start(url: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        await RedisRates.open(url)
    assert "Redis runs" in refused.value.fix


@pytest.mark.parametrize("password", ["hunter2/x", "hunter2#x", "hunter2?x", "hunter2:x@127.0.0.1"])
async def test_a_url_that_cannot_be_read_is_not_quoted(password: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        await RedisRates.open(f"redis://:{password}@127.0.0.1:1/0")
    assert "hunter2" not in refused.value.detail
    assert refused.value.__suppress_context__ or "hunter2" not in repr(refused.value.__cause__)


_PROCESS = """
import asyncio, sys
from macroslow.adapters.redis import RedisRates
from macroslow.services.calls.rate_rounds import RateRounds
from tests.contract.rate_store_contract import add_one

async def main() -> None:
    store = RateRounds(await RedisRates.open(sys.argv[1]))
    counts = await asyncio.gather(*(store.change("k", add_one) for _ in range(500)))
    print(*counts)
    await store.close()

asyncio.run(main())
"""


async def test_two_processes_lose_no_change(server: RedisServer) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", _PROCESS, server.url],
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={"PYTHONPATH": ".:src"},
        )
        for _ in range(2)
    ]
    said = await asyncio.gather(*(asyncio.to_thread(each.communicate, timeout=60) for each in processes))
    counts = [int(count) for out, _ in said for count in out.split()]
    assert sorted(counts) == list(range(1, 1_001))


def _lua(stamp_ns: int) -> str:
    """The stamp's bytes as a Lua text."""
    return "".join(f"\\{byte:03}" for byte in stamp_ns.to_bytes(8, "big"))
