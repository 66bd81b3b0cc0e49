"""What a provider is besides its answers: limits of each key, a clock of its own, headers, a bill."""

from email.utils import parsedate_to_datetime

import pytest
from tests.emulator.asking import KEY, call, chat_body, message
from tests.machine import SetClock

from macroslow.adapters import packaged
from macroslow.emulator import Limits, create_emulator, parse_limits
from macroslow.emulator.keys import digest_of

OTHER = "sk-emulator-other"


async def test_every_key_has_limits_of_its_own() -> None:
    app = create_emulator(parse_limits(f"rpm=1;{OTHER}:rpm=2"), clock=SetClock())
    statuses = [(await call(app, chat_body(), key=key)).status for key in [KEY, KEY, OTHER, OTHER, OTHER]]
    assert statuses == [200, 429, 200, 200, 429]
    keys = app.statistics.report(0)["keys"]
    assert keys[digest_of(KEY)] == {"requests": 2, "answered": 1, "rate_limited": 1}
    assert keys[digest_of(OTHER)] == {"requests": 3, "answered": 2, "rate_limited": 1}


async def test_keys_without_end_are_limited_as_one_after_the_first_thousand() -> None:
    app = create_emulator(Limits(requests=2), clock=SetClock())
    for number in range(1_000):
        app.statistics.key_seen(f"sk-emulator-{number}")
    statuses = [(await call(app, chat_body(), key=f"sk-emulator-x{number}")).status for number in range(3)]
    assert statuses == [200, 200, 429]
    assert len(app.statistics.keys) == 1_001


async def test_limits_are_each_familys_own_under_all_its_names() -> None:
    app = create_emulator(Limits(requests=1), clock=SetClock())
    assert (await call(app, chat_body(model="gpt-4o"))).status == 200
    assert (await call(app, chat_body(model="gpt-4o-mini"))).status == 200
    names = [name for name, model in packaged.catalogue().names() if model.family == "gpt-4o"]
    assert len(names) > 2
    for name in names:
        assert (await call(app, chat_body(model=name))).status == 429


@pytest.mark.parametrize("skew_ms", [-90_000, 0, 2_000])
async def test_the_providers_clock_dates_its_answers_and_cuts_its_minutes(skew_ms: int) -> None:
    clock = SetClock()
    app = create_emulator(Limits(requests=1, algorithm="fixed", skew_ms=skew_ms), clock=clock)
    reply = await call(app, chat_body())
    ours_s = clock.time_ns // 10**9
    assert parsedate_to_datetime(reply.headers["date"]).timestamp() == ours_s + skew_ms // 1000
    assert reply.json()["created"] == ours_s + skew_ms // 1000
    left_ms = 60_000 - (clock.time_ns // 10**6 + skew_ms) % 60_000
    clock.time_ns += left_ms * 10**6 - 1
    assert (await call(app, chat_body())).headers["retry-after-ms"] == "1"
    clock.time_ns += 1
    assert (await call(app, chat_body())).status == 200


async def test_headers_that_lag_do_not_know_of_the_call_they_come_with() -> None:
    clock = SetClock()
    app = create_emulator(Limits(requests=60, lag_ms=500), clock=clock)
    assert (await call(app, chat_body())).headers["x-ratelimit-remaining-requests"] == "60"
    clock.time_ns += 499 * 10**6
    assert (await call(app, chat_body())).headers["x-ratelimit-remaining-requests"] == "60"
    clock.time_ns += 10**6
    assert (await call(app, chat_body())).headers["x-ratelimit-remaining-requests"] == "59"


async def test_what_the_limits_were_charged_with_is_told_beside_what_was_billed() -> None:
    clock = SetClock()
    app = create_emulator(parse_limits("tpm=1000,charge=max_tokens"), clock=clock)
    usage = (await call(app, chat_body("Answer with exactly: a", max_tokens=200, n=2))).json()["usage"]
    clock.time_ns += 1_500_000_000
    assert (await call(app, chat_body(max_tokens=999))).status == 429
    await message(app, max_tokens=50)
    report = app.statistics.report(clock.time_ns)
    assert report["models"]["gpt-4o-mini"]["charged_tokens"] == usage["prompt_tokens"] + 400
    assert report["models"]["gpt-4o-mini"]["output_tokens"] == 2
    assert report["charged_tokens"] == sum(model["charged_tokens"] for model in report["models"].values())
    assert report["seconds"] == 1.5
    assert report["rate_limited"]["tokens"] == 1
