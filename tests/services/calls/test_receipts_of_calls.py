"""A call that asks for its receipt: kept with its one settlement, however it ends."""

import pytest
from tests.metering.vocabulary import catalogue
from tests.services.model_fakes import DONE, PRINCIPAL, World, answer, delta, request, usage_event

from macroslow.adapters.system import SystemClock
from macroslow.errors import BudgetExhaustedError, UpstreamUnavailableError
from macroslow.inference.ports import NotReached
from macroslow.ports import DAY_NS
from macroslow.tlog.receipt import KEPT_DAYS

STREAM = [delta("hello"), usage_event(), DONE]


async def test_the_receipt_is_kept_for_thirty_days_for_who_asked():
    world = World()
    await world.ask()
    assert await world.books.kept_receipt("r1") is None
    got = await world.ask(wants_receipt=True)
    kept = await world.books.kept_receipt("r1")
    assert (kept.index, kept.principal) == (got.log_index, PRINCIPAL.name)
    left_ns = kept.expires_ns - SystemClock().now_ns()
    assert (KEPT_DAYS - 1) * DAY_NS < left_ns <= KEPT_DAYS * DAY_NS
    await world.assert_idle()


async def test_a_streams_is_kept_when_it_has_ended_and_not_before():
    world = World()
    world.provider.script = lambda _: list(STREAM)
    stream = await world.ask(request(stream=True), wants_receipt=True)
    async for _ in stream.chunks:
        if not world.books.settled:
            assert await world.books.kept_receipt("r1") is None
    assert (await world.books.kept_receipt("r1")).index == 0
    await world.assert_idle()


async def test_it_is_of_the_model_that_answered_in_the_end():
    models = catalogue().with_names({}, {"gpt-4o": ("gpt-4o-mini",)})
    world = World(models=models)
    world.provider.script = lambda body: NotReached("no") if body["model"] == "gpt-4o" else answer()
    got = await world.ask(wants_receipt=True)
    assert (await world.books.kept_receipt("r1")).index == got.log_index == 1
    await world.assert_idle()


async def test_a_call_that_was_lost_has_the_receipt_of_that():
    world = World()
    world.provider.script = lambda _: UpstreamUnavailableError("cut", upstream="openai")
    with pytest.raises(UpstreamUnavailableError):
        await world.ask(wants_receipt=True)
    kept = await world.books.kept_receipt("r1")
    assert world.books.events[kept.index]["outcome"] == "unknown"
    await world.assert_idle()


async def test_a_refusal_has_none():
    world = World(limit_usd_micros=1)
    with pytest.raises(BudgetExhaustedError):
        await world.ask(wants_receipt=True)
    assert await world.books.kept_receipt("r1") is None
    await world.assert_idle()
