"""Waiting for a place: order, bounds and callers that go away."""

import asyncio

import pytest
from tests.services.model_fakes import SystemClock

from macroslow.errors import RateLimitedError
from macroslow.limits.admission import Quota
from macroslow.limits.gcra import Limit
from macroslow.services.admission import Admission

SECOND_NS = 10**9


def admission(quota: Quota, **more) -> Admission:
    return Admission({("p", "m"): quota}, SystemClock(), **more)


async def enter(gates: Admission, principal: str = "a", tokens: int = 1):
    return await gates.enter("p", "m", principal, tokens)


async def settle_down() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_without_limits_everyone_enters():
    gates = admission(Quota())
    places = [await enter(gates) for _ in range(100)]
    for place in places:
        gates.leave(place, 1)
    assert gates.most_tokens("p", "m") is None


async def test_a_limit_that_time_lifts_is_waited_for():
    gates = admission(Quota(Limit("requests", 100, SECOND_NS, 1)))
    started = asyncio.get_running_loop().time()
    for _ in range(11):
        gates.leave(await enter(gates), 1)
    assert 0.09 <= asyncio.get_running_loop().time() - started < 2


async def test_principals_take_turns():
    gates = admission(Quota(concurrent=1))
    place = await enter(gates)
    order = []

    async def caller(principal: str) -> None:
        got = await enter(gates, principal)
        order.append(principal)
        gates.leave(got, 1)

    tasks = [asyncio.create_task(caller(name)) for name in "aaaabb"]
    await settle_down()
    gates.leave(place, 1)
    await asyncio.gather(*tasks)
    assert "".join(order) == "ababaa"


async def test_who_comes_later_does_not_overtake_who_waits():
    gates = admission(Quota(tokens=Limit("tokens", 10_000, SECOND_NS, 100)))
    gates.leave(await enter(gates, tokens=100), 100)
    large = asyncio.create_task(enter(gates, tokens=100))
    await settle_down()
    small = asyncio.create_task(enter(gates, tokens=1))
    await large
    assert not small.done()
    await small


async def test_refunds_let_in_who_waits():
    gates = admission(Quota(tokens=Limit("tokens", 1, 3600 * SECOND_NS, 100)), max_wait_s=30)
    place = await enter(gates, tokens=100)
    waiting = asyncio.create_task(enter(gates, tokens=90))
    await settle_down()
    assert not waiting.done()
    gates.leave(place, 10)
    await asyncio.wait_for(waiting, 5)


async def test_a_wait_that_is_known_to_be_too_long_is_refused_at_once():
    gates = admission(Quota(Limit("requests", 1, 3600 * SECOND_NS, 1)), max_wait_s=60)
    gates.leave(await enter(gates), 1)
    with pytest.raises(RateLimitedError) as caught:
        await asyncio.wait_for(enter(gates), 1)
    assert 3500 < caught.value.retry_after_s <= 3600


async def test_a_full_queue_refuses():
    gates = admission(Quota(concurrent=1), max_waiting=2)
    await enter(gates)
    tasks = [asyncio.create_task(enter(gates)) for _ in range(2)]
    await settle_down()
    with pytest.raises(RateLimitedError):
        await enter(gates)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    assert gates.waiting() == 0


async def test_a_place_given_to_one_that_just_left_goes_to_the_next():
    gates = admission(Quota(concurrent=1))
    place = await enter(gates)
    gone = asyncio.create_task(enter(gates))
    stays = asyncio.create_task(enter(gates))
    await settle_down()
    gates.leave(place, 1)  # the place is given to `gone`, which has not run since
    gone.cancel()
    await asyncio.wait_for(stays, 5)
    assert gone.cancelled()


async def test_one_that_leaves_and_is_next_does_not_block_the_queue():
    gates = admission(Quota(concurrent=1))
    place = await enter(gates)
    gone = asyncio.create_task(enter(gates))
    stays = asyncio.create_task(enter(gates))
    await settle_down()
    gone.cancel()  # not run yet when the place becomes free
    gates.leave(place, 1)
    await asyncio.wait_for(stays, 5)


async def test_waiting_ends_at_its_bound_and_leaves_nothing():
    gates = admission(Quota(concurrent=1), max_wait_s=0.01)
    place = await enter(gates)
    with pytest.raises(RateLimitedError) as caught:
        await enter(gates)
    assert caught.value.limit == "calls at once"
    assert gates.waiting() == 0
    gates.leave(place, 1)
    await enter(gates)
