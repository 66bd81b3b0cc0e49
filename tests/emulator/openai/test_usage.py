"""The organization's reports: the official SDK, buckets, groups, pages, and who may read them."""

import itertools

import openai
import orjson
import pytest
from tests.emulator.asking import (
    ADMIN_KEY,
    EMBEDDER,
    KEY,
    call,
    chat_body,
    get,
    message,
    response_body,
)
from tests.machine import SetClock

from macroslow.emulator import Emulator, create_emulator, running

COMPLETIONS = "/v1/organization/usage/completions"
COSTS = "/v1/organization/costs"
DAY_S = 86_400
START_S = 1_760_000_000 // DAY_S * DAY_S  # the clock's first day


async def busy(app: Emulator, clock: SetClock) -> None:
    """Two calls on the first day, with two keys; one each of another kind; one call two days later."""
    await call(app, chat_body("Answer with 20 words"))
    await call(
        app, response_body("Answer with 30 words", model="gpt-4o"), path="/v1/responses", key=KEY + "b"
    )
    await call(app, orjson.dumps({"model": EMBEDDER, "input": "one two"}), path="/v1/embeddings")
    await message(app)
    clock.time_ns += 2 * DAY_S * 10**9
    await call(app, chat_body("Hi"))


async def test_days_are_buckets_and_one_without_calls_is_empty(app: Emulator, clock: SetClock) -> None:
    await busy(app, clock)
    report = (await get(app, COMPLETIONS, f"start_time={START_S + 5}")).json()
    assert (report["object"], report["has_more"], report["next_page"]) == ("page", False, None)
    assert [bucket["start_time"] - START_S for bucket in report["data"]] == [0, DAY_S, 2 * DAY_S]
    assert [bucket["end_time"] - bucket["start_time"] for bucket in report["data"]] == [DAY_S] * 3
    first, second, _ = (bucket["results"] for bucket in report["data"])
    assert second == []
    assert [(one["object"], one["num_model_requests"], one["model"]) for one in first] == [
        ("organization.usage.completions.result", 2, None)
    ]


async def test_what_the_reports_say_is_what_was_billed(app: Emulator, clock: SetClock) -> None:
    await busy(app, clock)
    usage = (await get(app, COMPLETIONS, f"start_time={START_S}&group_by[]=model")).json()
    embeddings = (await get(app, "/v1/organization/usage/embeddings", f"start_time={START_S}")).json()
    costs = (await get(app, COSTS, f"start_time={START_S}")).json()
    rows = [one for report in (usage, embeddings) for bucket in report["data"] for one in bucket["results"]]
    billed = app.statistics.report(0)
    theirs = billed["models"].pop("claude-sonnet-4-5-20250929")
    assert sum(one["input_tokens"] for one in rows) == billed["input_tokens"] - theirs["input_tokens"]
    output_tokens = sum(one.get("output_tokens", 0) for one in rows)
    assert output_tokens == billed["output_tokens"] - theirs["output_tokens"]
    usd = sum(one["amount"]["value"] for bucket in costs["data"] for one in bucket["results"])
    assert round(usd * 10**6) == billed["usd_micros"] - theirs["usd_micros"]
    assert {one["model"] for one in rows} == {"gpt-4o-mini", "gpt-4o", None}


async def test_groups_and_filters(app: Emulator, clock: SetClock) -> None:
    await busy(app, clock)
    query = f"start_time={START_S}&end_time={START_S + DAY_S}"
    by_key = (await get(app, COMPLETIONS, f"{query}&group_by[]=api_key_id&group_by[]=model")).json()
    rows = by_key["data"][0]["results"]
    assert len({one["api_key_id"] for one in rows}) == len(rows) == 2
    only = (
        await get(app, COMPLETIONS, f"{query}&api_key_ids[]={rows[0]['api_key_id']}&models=gpt-4o-mini")
    ).json()
    assert [one["num_model_requests"] for one in only["data"][0]["results"]] == [1]
    none = (await get(app, COMPLETIONS, f"{query}&batch=true")).json()
    assert none["data"][0]["results"] == []
    items = (await get(app, COSTS, f"{query}&group_by[]=line_item")).json()["data"][0]["results"]
    assert {one["line_item"] for one in items} == {
        "gpt-4o-mini, input",
        "gpt-4o-mini, output",
        "gpt-4o, input",
        "gpt-4o, output",
        f"{EMBEDDER}, input",
    }
    total = (await get(app, COSTS, query)).json()["data"][0]["results"]
    assert sum(one["amount"]["value"] for one in items) == pytest.approx(total[0]["amount"]["value"])


async def test_pages_follow_one_another_without_a_gap(app: Emulator, clock: SetClock) -> None:
    await busy(app, clock)
    start_s = START_S - 5 * 3_600
    whole = (await get(app, COMPLETIONS, f"start_time={start_s}&bucket_width=1h&limit=168")).json()
    page, seen = "", []
    for _ in itertools.count():
        query = f"start_time={start_s}&bucket_width=1h&limit=10{page}"
        part = (await get(app, COMPLETIONS, query)).json()
        seen += part["data"]
        if not part["has_more"]:
            break
        page = f"&page={part['next_page']}"
    assert seen == whole["data"]
    assert len(whole["data"]) > 50


async def test_the_official_sdk_reads_them() -> None:
    app = create_emulator()
    async with (
        running(app) as base_url,
        openai.AsyncOpenAI(base_url=base_url, api_key=KEY, admin_api_key=ADMIN_KEY, max_retries=0) as client,
    ):
        await client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "Hi"}])
        usage = await client.admin.organization.usage.completions(
            start_time=1, end_time=2**33, bucket_width="1d", group_by=["model"], limit=31
        )
        assert usage.has_more
        costs = await client.admin.organization.usage.costs(start_time=1)
        assert costs.object == "page"


@pytest.mark.parametrize(
    ("path", "query", "param"),
    [
        (COMPLETIONS, "", "start_time"),
        (COMPLETIONS, "start_time=soon", "start_time"),
        (COMPLETIONS, "start_time=-1", "start_time"),
        (COMPLETIONS, "start_time=1&bucket_width=1w", "bucket_width"),
        (COMPLETIONS, "start_time=1&limit=0", "limit"),
        (COMPLETIONS, "start_time=1&limit=32", "limit"),
        (COMPLETIONS, "start_time=1&group_by=colour", "group_by"),
        (COMPLETIONS, "start_time=1&page=page_x", "page"),
        (COMPLETIONS, "start_time=1&page=LTE=", "page"),
        (COMPLETIONS, "start_time=1&colour=blue", "colour"),
        (COSTS, "start_time=1&bucket_width=1h", "bucket_width"),
        (COSTS, "start_time=1&limit=181", "limit"),
    ],
)
async def test_a_parameter_that_cannot_be_used_is_named(
    app: Emulator, path: str, query: str, param: str
) -> None:
    reply = await get(app, path, query)
    assert (reply.status, reply.json()["error"]["param"]) == (400, param)


async def test_reports_take_an_administrators_key_and_models_the_other(app: Emulator) -> None:
    assert (await get(app, COSTS, "start_time=1", key=KEY)).status == 401
    assert (await call(app, chat_body(), key=ADMIN_KEY)).status == 401
    assert (await get(app, COSTS, f"start_time={START_S}")).status == 200
