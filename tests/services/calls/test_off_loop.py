"""Work in threads: one turn for each principal, whoever hangs up, and nothing left of who only waited."""

import asyncio
import gc
import threading
import weakref
from collections.abc import AsyncIterator
from dataclasses import replace

import orjson
import pytest
from tests.metering.vocabulary import catalogue, packed
from tests.services.model_fakes import PRINCIPAL, World

from macroslow.errors import InvalidModelRequestError
from macroslow.inference import MESSAGES
from macroslow.inference.dialect import Dialect
from macroslow.metering.count import OFF_LOOP_BYTES
from macroslow.metering.encodings import Counters
from macroslow.services.calls.count_tokens import CountTokens
from macroslow.services.calls.off_loop import THREADS, OffLoop
from macroslow.services.calls.quote_call import QuoteCall


class Work:
    """Work that tells when it runs, and ends when it may."""

    def __init__(self) -> None:
        self.may_end = threading.Event()
        self.under_way = 0
        self.most_under_way = 0
        self.begun = 0
        self._lock = threading.Lock()

    def __call__(self, result: int = 0) -> int:
        with self._lock:
            self.begun += 1
            self.under_way += 1
            self.most_under_way = max(self.most_under_way, self.under_way)
        assert self.may_end.wait(60)
        with self._lock:
            self.under_way -= 1
        return result

    async def has_begun(self, count: int) -> None:
        while self.begun < count:
            await asyncio.sleep(0)


@pytest.fixture
async def off_loop() -> AsyncIterator[OffLoop]:
    made = OffLoop()
    yield made
    await made.close()


@pytest.fixture
def work() -> Work:
    return Work()


async def turns() -> None:
    """Let everything that can go on go on."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_it_returns_what_the_work_returns_and_raises_what_it_raises(off_loop):
    assert await off_loop("ann", divmod, 7, 2) == (3, 1)
    for _ in range(2):  # a failure gives the turn back too
        with pytest.raises(ZeroDivisionError):
            await off_loop("ann", divmod, 7, 0)


async def test_a_principal_has_one_piece_of_work_in_the_threads_at_a_time(off_loop, work):
    asked = [asyncio.create_task(off_loop("ann", work, n)) for n in range(5)]
    await work.has_begun(1)
    await turns()
    assert work.begun == 1
    work.may_end.set()
    assert await asyncio.gather(*asked) == list(range(5))
    assert work.most_under_way == 1


async def test_another_principal_does_not_wait_for_the_turn_of_the_first(off_loop, work):
    asked = [asyncio.create_task(off_loop("ann", work)) for _ in range(50)]
    await work.has_begun(1)
    assert await off_loop("bob", divmod, 7, 2) == (3, 1)
    work.may_end.set()
    await asyncio.gather(*asked)


async def test_work_of_many_principals_takes_no_more_threads_than_there_are(off_loop, work):
    asked = [asyncio.create_task(off_loop(f"p{n}", work)) for n in range(4 * THREADS)]
    await work.has_begun(THREADS)
    await turns()
    assert work.begun == THREADS
    work.may_end.set()
    await asyncio.gather(*asked)
    assert work.most_under_way == THREADS


async def test_who_hangs_up_keeps_his_turn_taken_until_his_work_ends(off_loop, work):
    for n in range(10):  # the first hands work over, the others only wait
        asked = asyncio.create_task(off_loop("ann", work))
        await work.has_begun(1)
        await turns()
        asked.cancel()
        await asyncio.wait({asked})
        assert (n, asked.cancelled(), work.begun) == (n, True, 1)
    last = asyncio.create_task(off_loop("ann", divmod, 7, 2))
    await turns()
    assert not last.done()
    work.may_end.set()
    assert await last == (3, 1)
    assert work.begun == 1


async def test_principals_who_left_are_forgotten(off_loop):
    for n in range(100):
        await off_loop(f"p{n}", divmod, 7, 2)
    await turns()
    assert len(off_loop._turns) <= 1


async def test_closing_waits_for_what_runs_and_gives_up_what_only_waits(work):
    off_loop = OffLoop()
    asked = [asyncio.create_task(off_loop(f"p{n}", work)) for n in range(2 * THREADS)]
    await work.has_begun(THREADS)
    closing = asyncio.create_task(off_loop.close())
    await asyncio.wait(asked[THREADS:])
    assert not closing.done()
    work.may_end.set()
    await closing
    await asyncio.wait(asked)
    assert [task.cancelled() for task in asked] == [n >= THREADS for n in range(2 * THREADS)]
    with pytest.raises(RuntimeError):
        await off_loop("ann", divmod, 7, 2)


def counting(max_request_bytes: int) -> CountTokens:
    """The use case, with one model that takes at most so many bytes."""
    world = World()
    world.provider.dialect = Dialect.ANTHROPIC
    named = catalogue().find("claude-haiku-4-5")
    assert named is not None
    model = replace(named, max_request_bytes=max_request_bytes)
    providers = {"anthropic": {"anthropic": world.provider}}
    models = replace(catalogue(), models={model.name: model})
    return CountTokens(replace(world.call.quote, providers=providers, catalogue=models))


def message(size_bytes: int) -> bytes:
    asked = [{"role": "user", "content": "x " * (size_bytes // 2)}]
    return orjson.dumps({"model": "claude-haiku-4-5", "messages": asked})


@pytest.mark.parametrize("size_bytes", [10, 2 * OFF_LOOP_BYTES], ids=["small", "large"])
async def test_counting_refuses_what_the_provider_would_not_take_before_it_counts(size_bytes, monkeypatch):
    body = message(size_bytes)
    assert await counting(len(body))(body, PRINCIPAL) > size_bytes // 4
    monkeypatch.setattr(QuoteCall, "count", None)
    with pytest.raises(InvalidModelRequestError, match="bytes"):
        await counting(len(body) - 1)(body, PRINCIPAL)


async def test_the_first_count_loads_its_vocabulary_and_does_so_off_the_loop():
    threads = []

    def reading(encoding: str) -> bytes:
        threads.append(threading.current_thread())
        return packed(encoding)

    quote = replace(counting(OFF_LOOP_BYTES).quote, counters=Counters(reading))
    assert await CountTokens(quote)(message(10), PRINCIPAL) == await counting(OFF_LOOP_BYTES)(
        message(10), PRINCIPAL
    )
    assert threading.current_thread() not in threads
    assert len(threads) == 1


async def test_counting_and_reading_a_call_wait_for_the_same_turn(work):
    count = counting(10 * OFF_LOOP_BYTES)
    body = message(2 * OFF_LOOP_BYTES)
    held = asyncio.create_task(count.quote.off_loop(PRINCIPAL.name, work))
    await work.has_begun(1)
    waiting = [
        asyncio.create_task(count(body, PRINCIPAL)),
        asyncio.create_task(count.quote.read(MESSAGES, body, PRINCIPAL.name)),
    ]
    await turns()
    assert not any(task.done() for task in waiting)
    for task in waiting:
        task.cancel()
    await asyncio.wait(waiting)
    work.may_end.set()
    await held
    await count.quote.off_loop.close()


async def test_what_failed_work_was_given_is_gone_with_its_error(off_loop: OffLoop) -> None:
    """Whoever sends what cannot be read would fill the memory with it until the next collection."""

    class Body:
        pass

    def fails(body: Body) -> None:
        raise ValueError(body)

    body = Body()
    alive = weakref.ref(body)
    gc.disable()
    try:
        with pytest.raises(ValueError):
            await off_loop("ann", fails, body)
        del body
        async with asyncio.timeout(60):
            while alive() is not None:  # the thread lets go of it a moment later
                await asyncio.sleep(0.001)
    finally:
        gc.enable()
