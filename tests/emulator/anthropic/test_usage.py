"""The organization's reports: buckets, groups, pages, cents, and who may read them."""

import pytest
from tests.emulator.asking import ADMIN_KEY, KEY, VERSION, call, chat_body, get, message
from tests.machine import SetClock

from macroslow.emulator import Emulator

USAGE = "/v1/organizations/usage_report/messages"
COSTS = "/v1/organizations/cost_report"
DAY = "2025-10-09T00:00:00Z"  # of the clock's first time
MODEL = "claude-sonnet-4-5-20250929"


async def busy(app: Emulator, clock: SetClock) -> None:
    """Two calls on the first day, of two models, one of somebody else's; one call the next day."""
    await message(app, "Answer with 20 words")
    await message(app, "Answer with 30 words", model="claude-haiku-4-5")
    await call(app, chat_body())
    clock.time_ns += 86_400 * 10**9
    await message(app)


async def test_days_are_buckets_up_to_the_one_that_is_running(app: Emulator, clock: SetClock) -> None:
    await busy(app, clock)
    report = (await get(app, USAGE, f"starting_at={DAY}&group_by[]=model")).json()
    assert (report["has_more"], report["next_page"]) == (False, None)
    first, second = report["data"]
    assert (first["starting_at"], first["ending_at"]) == (DAY, "2025-10-10T00:00:00Z")
    assert [one["model"] for one in first["results"]] == [MODEL, "claude-haiku-4-5-20251001"]
    assert len(second["results"]) == 1
    assert second["results"][0] | {"uncached_input_tokens": 0, "output_tokens": 0} == {
        "uncached_input_tokens": 0,
        "cache_creation": {"ephemeral_1h_input_tokens": 0, "ephemeral_5m_input_tokens": 0},
        "cache_read_input_tokens": 0,
        "output_tokens": 0,
        "server_tool_use": {"web_search_requests": 0},
        "api_key_id": None,
        "workspace_id": None,
        "model": MODEL,
        "service_tier": None,
        "context_window": None,
    }


async def test_what_the_reports_say_is_what_was_billed(app: Emulator, clock: SetClock) -> None:
    await busy(app, clock)
    usage = (await get(app, USAGE, f"starting_at={DAY}")).json()
    costs = (await get(app, COSTS, f"starting_at={DAY}&group_by[]=description")).json()
    whole = (await get(app, COSTS, f"starting_at={DAY}")).json()
    models = app.statistics.report(0)["models"]
    billed = [tally for name, tally in models.items() if name.startswith("claude")]
    rows = [one for bucket in usage["data"] for one in bucket["results"]]
    assert sum(one["uncached_input_tokens"] for one in rows) == sum(one["input_tokens"] for one in billed)
    assert sum(one["output_tokens"] for one in rows) == sum(one["output_tokens"] for one in billed)
    for report in (costs, whole):
        # Amounts are in cents, exact to a ten-thousandth.
        amounts = [one["amount"] for bucket in report["data"] for one in bucket["results"]]
        assert all(len(amount.partition(".")[2]) == 4 for amount in amounts)
        micros = sum(int(amount.replace(".", "")) for amount in amounts)
        assert micros == sum(one["usd_micros"] for one in billed)
    kinds = {one["token_type"] for bucket in costs["data"] for one in bucket["results"]}
    assert kinds == {"uncached_input_tokens", "output_tokens"}


async def test_a_bucket_is_reported_when_it_ends_by_the_end(app: Emulator, clock: SetClock) -> None:
    await busy(app, clock)
    for ending_at, buckets in (("2025-10-10T00:00:00Z", 1), ("2025-10-10T23:59:59%2B00:00", 1)):
        report = (await get(app, USAGE, f"starting_at={DAY}&ending_at={ending_at}")).json()
        assert len(report["data"]) == buckets


async def test_pages_follow_one_another_without_a_gap(app: Emulator, clock: SetClock) -> None:
    await busy(app, clock)
    whole = (await get(app, USAGE, f"starting_at={DAY}&bucket_width=1h&limit=168")).json()
    first = (await get(app, USAGE, f"starting_at={DAY}&bucket_width=1h&limit=20")).json()
    rest_query = f"starting_at={DAY}&bucket_width=1h&limit=168&page={first['next_page']}"
    rest = (await get(app, USAGE, rest_query)).json()
    assert first["data"] + rest["data"] == whole["data"]
    assert (len(first["data"]), rest["has_more"]) == (20, False)


@pytest.mark.parametrize(
    ("path", "query", "param"),
    [
        (USAGE, "", "starting_at"),
        (USAGE, "starting_at=yesterday", "starting_at"),
        (USAGE, "starting_at=2025-10-09T00:00:00", "starting_at"),
        (USAGE, f"starting_at={DAY}&ending_at=x", "ending_at"),
        (USAGE, f"starting_at={DAY}&bucket_width=1w", "bucket_width"),
        (USAGE, f"starting_at={DAY}&limit=32", "limit"),
        (USAGE, f"starting_at={DAY}&group_by=colour", "group_by"),
        (USAGE, f"starting_at={DAY}&page=x", "page"),
        (COSTS, f"starting_at={DAY}&bucket_width=1h", "bucket_width"),
        (COSTS, f"starting_at={DAY}&group_by[]=model", "group_by"),
    ],
)
async def test_a_parameter_that_cannot_be_used_is_named(
    app: Emulator, path: str, query: str, param: str
) -> None:
    reply = await get(app, path, query)
    assert reply.status == 400
    assert reply.json()["error"]["message"].startswith(f"{param}: ")


async def test_reports_take_an_administrators_key_and_models_the_other(app: Emulator) -> None:
    assert (await get(app, COSTS, f"starting_at={DAY}", key=KEY)).status == 401
    headers = {"x-api-key": ADMIN_KEY, "anthropic-version": VERSION}
    assert (await call(app, b"{}", path="/v1/messages", headers=headers)).status == 401
