"""Who knocks too often is told whose limit it is, and how to come by more."""

import pytest
from tests.web.fakes import House, build


@pytest.fixture
async def house() -> House:
    return await build()


async def test_a_key_that_has_used_up_its_minute_is_told_how_to_have_it_raised(house: House) -> None:
    key = await house.new_key("bob", requests_per_minute=2)
    *_, refused = [await house.ask("GET", "/runs", key=key) for _ in range(3)]
    assert (refused.status, refused.json["detail"]) == (429, "this key may have 2 requests in 60 s")
    assert "macroslow keys set ID --rpm N" in refused.json["fix"]


async def test_an_address_that_sends_bad_credentials_is_told_that_they_are_counted(house: House) -> None:
    answers = [await house.ask("GET", "/runs", key="msk_no") for _ in range(200)]
    refused = next(answer for answer in answers if answer.status == 429)
    assert refused.json["detail"].startswith("one address may have ")
    assert refused.json["detail"].endswith(" failed authentications in 60 s")
