"""A watch goes on after a defect, and the operator hears of it."""

import asyncio
import logging

import pytest

from macroslow.bootstrap.watching.kept_running import kept_running


async def test_a_watch_that_fails_is_told_of_by_name_and_begins_anew(
    caplog: pytest.LogCaptureFixture,
) -> None:
    begun, again = [], asyncio.Event()

    async def work() -> None:
        begun.append(1)
        if len(begun) < 3:
            raise RuntimeError("a secret of somebody's")
        again.set()
        await asyncio.Event().wait()

    with caplog.at_level(logging.ERROR, "macroslow"):
        async with kept_running({"the watch": work}, again_s=0.001):
            await asyncio.wait_for(again.wait(), 30)
    assert len(begun) == 3
    assert [record.message.partition(":")[0] for record in caplog.records] == [
        "the watch failed and begins anew"
    ] * 2
    assert "RuntimeError at " in caplog.text
    assert "a secret" not in caplog.text


async def test_one_that_fails_disturbs_no_other_and_all_end_with_the_context() -> None:
    ended = asyncio.Event()

    async def fails() -> None:
        raise OSError

    async def lasts() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async with kept_running({"one": fails, "two": lasts}, again_s=0.001):
        await asyncio.sleep(0.01)
        assert not ended.is_set()
    assert ended.is_set()


async def test_nothing_to_run_is_nothing_to_wait_for() -> None:
    async with kept_running({}):
        pass
