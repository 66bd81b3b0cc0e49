"""Outside calls of a run: each is in the log before its answer is seen, however it ends."""

import asyncio

import pytest
from tests.services.house import ANN, House

from macroslow.errors import BadRequestError, LogUnavailableError, NotFoundError, UpstreamUnavailableError
from macroslow.tlog.event import EventType
from macroslow.tlog.ports import Append


def call(house: House, path: str = "/now", query: str = "q=Berlin", name: str = "weather"):
    return house.execute.call_api(ANN, "run7", name, path, query)


async def test_a_call_is_logged_with_what_it_was_and_without_what_it_asked_or_heard(house: House) -> None:
    assert (await call(house)).body == b'{"t": 21}'
    assert house.api.asked == [("/now", "q=Berlin")]
    assert await house.events(EventType.API_CALLED) == [
        {
            "principal": "ann",
            "run_id": "run7",
            "api": "weather",
            "path": "/now",
            "outcome": "200",
            "answer_bytes": 9,
        }
    ]


async def test_an_api_that_fails_is_logged_as_what_it_did(house: House) -> None:
    house.api.answer = UpstreamUnavailableError("gone", upstream="weather")
    with pytest.raises(UpstreamUnavailableError):
        await call(house)
    (fields,) = await house.events(EventType.API_CALLED)
    assert (fields["outcome"], fields["answer_bytes"]) == ("upstream-unavailable", 0)


async def test_a_call_that_is_cut_off_is_logged_as_unknown(house: House) -> None:
    """A document could otherwise use the operator's secret without a trace, by ending at once."""
    house.api.hold = asyncio.Event()
    gone = asyncio.create_task(call(house))
    while not house.api.asked:
        await asyncio.sleep(0)
    gone.cancel()
    await asyncio.wait({gone})
    assert gone.cancelled()
    (fields,) = await house.events(EventType.API_CALLED)
    assert fields["outcome"] == "unknown"


async def test_an_answer_that_cannot_be_logged_is_not_given(house: House) -> None:
    house.books.fail_once(Append)
    with pytest.raises(LogUnavailableError):
        await call(house)


async def test_unknown_apis_and_targets_that_are_none_are_refused_unasked(house: House) -> None:
    with pytest.raises(NotFoundError):
        await call(house, name="other")
    with pytest.raises(BadRequestError):
        await call(house, "/../admin")
    assert house.api.asked == []
