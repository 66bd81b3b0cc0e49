"""The watch over requests: who is looked at, who is listened to, and that it sleeps when there is nobody."""

import asyncio

import pytest

from macroslow.errors import RequestTimeoutError
from macroslow.web import attention
from macroslow.web.attention import Watch
from macroslow.web.bodies import CallerLeft
from macroslow.web.messages import Message
from macroslow.web.visit import Visit


class Caller:
    """Somebody who may hang up, and how often it was listened to."""

    def __init__(self) -> None:
        self.listened = 0
        self.left = asyncio.Event()

    async def receive(self) -> Message:
        self.listened += 1
        await self.left.wait()
        return {"type": "http.disconnect"}


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attention, "LOOK_EVERY_S", 0.001)


async def until_asleep(watch: Watch) -> None:
    async with asyncio.timeout(10):
        while watch._timer is not None:
            await asyncio.sleep(0)


async def test_who_has_left_before_the_first_look_is_never_listened_to_and_the_watch_sleeps() -> None:
    watch, caller, ends = Watch(), Caller(), list[Exception]()
    for _ in range(3):
        one = watch.attend(caller.receive, ends.append, None)
        one.close()
        one.close()
        await until_asleep(watch)
    assert (caller.listened, ends) == (0, [])


async def test_a_body_is_waited_for_so_long_and_nobody_listens_meanwhile() -> None:
    watch, caller, ended = Watch(), Caller(), asyncio.Future[Exception]()
    one = watch.attend(caller.receive, lambda why: ended.done() or ended.set_result(why), 0.02)
    async with asyncio.timeout(10):
        assert isinstance(await ended, RequestTimeoutError)
    assert caller.listened == 0
    one.close()
    await until_asleep(watch)


async def test_once_the_body_is_there_its_time_is_no_matter_and_a_hang_up_is_heard() -> None:
    watch, caller, ended = Watch(), Caller(), asyncio.Future[Exception]()
    one = watch.attend(caller.receive, ended.set_result, 0.0)
    one.has_body()
    caller.left.set()
    async with asyncio.timeout(10):
        assert isinstance(await ended, CallerLeft)
    one.close()
    assert caller.listened == 1
    await until_asleep(watch)


async def until_looked_at(watch: Watch, times: int) -> None:
    for _ in range(times):
        timer = watch._timer
        async with asyncio.timeout(10):
            while watch._timer is timer:
                await asyncio.sleep(0)


async def test_who_takes_one_message_after_the_other_is_behind_with_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(attention, "STALL_S", 0.02)
    watch, caller, ended = Watch(), Caller(), asyncio.Future[Exception]()
    one = watch.attend(caller.receive, ended.set_result, None)
    for _ in range(60):  # at every look something is on its way, but never the same
        one.sending = {"type": "http.response.body", "body": b"a", "more_body": True}
        await until_looked_at(watch, 1)
    one.sending = None
    await until_looked_at(watch, 30)
    assert not ended.done()
    one.sending = {"type": "http.response.body", "body": b"a", "more_body": True}
    async with asyncio.timeout(10):
        assert isinstance(await ended, CallerLeft)
    one.close()
    await until_asleep(watch)


async def test_a_request_is_ended_once_for_the_first_reason() -> None:
    task = asyncio.current_task()
    visit = Visit("id", "GET", 0, task)
    first, second = CallerLeft(), CallerLeft()
    visit.end(first)
    visit.end(second)
    with pytest.raises(asyncio.CancelledError):
        await asyncio.sleep(0)
    assert visit.ended is first
    assert visit.was_ended()
    assert task is not None
    assert not task.cancelling()


async def test_a_cancellation_from_outside_is_none_of_its_own() -> None:
    visit = Visit("id", "GET", 0, asyncio.current_task())
    assert not visit.was_ended()
