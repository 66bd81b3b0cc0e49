"""Demand far above what a provider accepts: it never has to refuse, and everybody gets a fair part."""

import asyncio
import itertools
import json
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from tests.e2e.conftest import Site, emulating, make_site, wait_until

CLIENTS = 20
AT_ONCE = 3  # calls that each client always has under way
SPAN_S = 10.0
ENOUGH = 20
UNDER_WAY = 10  # of calls that were sent and not answered yet there are not more than this, give or take
QUICK = "first_ms=30,per_token_ms=1"
RPM, TPM = 240, 20_000
WAYS = {
    "bucket": "algorithm=bucket",
    "fixed": "algorithm=fixed,skew_ms=23000,lag_ms=500",
    "sliding": "algorithm=sliding,lag_ms=200,skew_ms=-7000",
    "second": "algorithm=second",
}


def statistics(url: str) -> dict[str, Any]:
    with urllib.request.urlopen(url.removesuffix("/v1") + "/emulator/stats", timeout=60) as answer:
        told: dict[str, Any] = json.load(answer)
    return told


def body(number: int) -> dict[str, Any]:
    words = (3, 12, 40)[number % 3]
    asked = [{"role": "user", "content": f"Answer with {words} words" + " please" * (number % 7 * 10)}]
    return {
        "model": "gpt-4o-mini",
        "max_tokens": 4 * words + 20,
        "messages": asked,
        "stream": number % 2 == 1,
    }


async def demand(site: Site, keys: list[str]) -> Counter[int]:
    """Every client asks again as soon as it was answered; those who wait at the end leave. Statuses."""
    statuses: Counter[int] = Counter()
    numbers = itertools.count()

    async def ask(session: aiohttp.ClientSession, key: str) -> None:
        while True:
            headers = {"authorization": f"Bearer {key}"}
            url = site.url + "/v1/chat/completions"
            async with session.post(url, json=body(next(numbers)), headers=headers) as answer:
                await answer.read()
                statuses[answer.status] += 1
                if answer.status != 200:
                    await asyncio.sleep(float(answer.headers.get("retry-after", 1)))

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        asking = [asyncio.create_task(ask(session, key)) for key in keys for _ in range(AT_ONCE)]
        await asyncio.wait(asking, timeout=SPAN_S, return_when=asyncio.FIRST_EXCEPTION)
        while statuses[200] < ENOUGH and not any(task.done() for task in asking):  # on a slow machine
            await asyncio.sleep(0.1)
        for task in asking:
            assert not task.done() or task.result() is None
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)
    return statuses


def idle(site: Site) -> bool:
    return all(key["held_usd_micros"] == 0 for key in site.ask("keys.list")["keys"])


@pytest.mark.sweep
@pytest.mark.parametrize("charge", ["used", "max_tokens"])
@pytest.mark.parametrize("way", WAYS)
def test_no_provider_refuses_however_it_counts_and_whatever_is_wanted(
    tmp_path, clean_environment, way, charge
):
    limits = f"rpm={RPM},tpm={TPM},charge={charge},{WAYS[way]}"
    with limited(tmp_path / "way", clean_environment, limits, f"rpm={RPM}\ntpm={TPM}") as (site, url):
        keys = [site.client(f"client-{number}", budget_usd_micros=10**9) for number in range(CLIENTS)]
        seen = asyncio.run(demand(site, keys))
        wait_until(lambda: idle(site))
        told = statistics(url)
        # A busy machine stops for parts of a second: what was sent in two of them may come in one.
        most = told["requests"] // 20 if way == "second" else 0
        assert sum(told["rate_limited"].values()) <= most
        assert told["statuses"].get("429", 0) <= most
        assert set(seen) <= {200, 429}
        assert seen[200] >= ENOUGH


@contextmanager
def limited(
    folder: Path, environment: dict[str, str], limits: str, settings: str, queue: str = ""
) -> Iterator[tuple[Site, str]]:
    """A gateway that was told what its provider accepts."""
    with emulating(environment, "--limits", limits, "--latency", QUICK) as url:
        more = f"[providers.openai.limits]\n{settings}\n[queue]\n{queue}\n"
        site = make_site(folder, url, environment, more)
        site.start()
        yield site, url
        site.stop()


def in_line(site: Site, key: str) -> int:
    """How many calls wait for their turn."""
    told = site.call("GET", "/metrics", headers={"x-api-key": key}).body.decode().splitlines()
    waiting = [line for line in told if line.startswith("macroslow_waiting_calls{")]
    return sum(int(float(line.rsplit(" ", 1)[1])) for line in waiting)


@pytest.mark.sweep
def test_a_greedy_client_takes_nothing_from_others_and_weight_three_is_three_parts(
    tmp_path, clean_environment
):
    with limited(
        tmp_path / "fair", clean_environment, "rpm=1200,algorithm=second", "rpm=1200\npace='second'"
    ) as (
        site,
        url,
    ):
        weights = {"greedy": 1, "modest": 1, "polite": 1, "heavy": 3}
        keys = {name: site.client(name, weight=weight) for name, weight in weights.items()}
        wanted = {"greedy": 150, "modest": 30, "polite": 30, "heavy": 60}
        order: list[str] = []
        page = site.client("page", scopes=["operations:read"])

        async def all_at_once() -> int:
            """Return how many were answered before all had come."""

            async def ask(session: aiohttp.ClientSession, name: str) -> None:
                headers = {"authorization": f"Bearer {keys[name]}"}
                asked = {
                    "model": "gpt-4o-mini",
                    "max_tokens": 5,
                    "messages": [{"role": "user", "content": "hi"}],
                }
                async with session.post(
                    site.url + "/v1/chat/completions", json=asked, headers=headers
                ) as answer:
                    await answer.read()
                    assert answer.status == 200
                    order.append(name)

            async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
                calls = [
                    asyncio.create_task(ask(session, name))
                    for name, count in wanted.items()
                    for _ in range(count)
                ]
                while len(order) + await asyncio.to_thread(in_line, site, page) < len(calls) - UNDER_WAY:
                    await asyncio.sleep(0.02)
                early = len(order)
                while len(order) < early + 80:
                    await asyncio.sleep(0.02)
                for call in calls:  # whoever still waits leaves
                    call.cancel()
                await asyncio.gather(*calls, return_exceptions=True)
                return early

        early = asyncio.run(all_at_once())
        # Who came before all the others was let in at once; of the rest each had its part.
        served = Counter(order[early:])
        assert served["modest"] >= 9
        assert served["polite"] >= 9
        assert abs(served["greedy"] - served["modest"]) <= 6
        assert 2 <= served["heavy"] / served["modest"] <= 4.5
        wait_until(lambda: idle(site))
        told = statistics(url)
        # A busy machine stops for parts of a second: what was sent in two of them may come in one.
        assert sum(told["rate_limited"].values()) <= told["requests"] // 20
        assert told["requests"] <= len(order) + 25, "who left the queue was not sent"


@pytest.mark.sweep
def test_who_may_not_wait_so_long_is_told_a_time_that_holds(tmp_path, clean_environment):
    told = "rpm=20\nwindow='bucket'\npace='minute'"
    with limited(tmp_path / "told", clean_environment, "rpm=20", told, "max_wait_s = 0.2") as (site, url):
        key = site.client("ada")
        answers = (site.chat(key, max_tokens=5) for _ in range(100))
        last = next(answer for answer in answers if answer.status != 200)
        assert last.status == 429
        waits_s = int(last.headers["retry-after"])
        assert 1 <= waits_s <= 6, "one comes back every three seconds"
        assert last.json["error"]["code"] == "rate-limited"
        time.sleep(waits_s)
        assert site.chat(key, max_tokens=5).status == 200
        assert sum(statistics(url)["rate_limited"].values()) == 0
        assert idle(site)
