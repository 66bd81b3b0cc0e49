"""Two gateways on one PostgreSQL database, rates there or in Redis: one budget, one limit, one log."""

import asyncio
import http.client
import itertools
import json
import shutil
import signal
import threading
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from tests.e2e.conftest import Site, emulating, make_site, wait_until
from tests.e2e.documents import document
from tests.postgres import postgres_server
from tests.redis import RedisServer, redis_server

DOLLAR = 1_000_000
RPM = 600
STATE = """
[providers.openai.limits]
rpm = {rpm}
tpm = 1000000

[state]
database = "env:DATABASE_URL"
{rates}
[models.gpt-4o]
input_usd = 2.5
output_usd = 100
"""


@dataclass
class Pair:
    """Two gateways that share their books, the provider of both, and Redis where it keeps the rates."""

    one: Site
    two: Site
    emulator_url: str
    redis: RedisServer | None

    @property
    def both(self) -> tuple[Site, Site]:
        return self.one, self.two

    def statistics(self) -> dict[str, Any]:
        with urllib.request.urlopen(
            self.emulator_url.removesuffix("/v1") + "/emulator/stats", timeout=60
        ) as answer:
            told: dict[str, Any] = json.load(answer)
        return told


@contextmanager
def pair(
    folder: Path, environment: dict[str, str], redis: RedisServer | None, *options: str
) -> Iterator[Pair]:
    limits = ("--limits", f"rpm={RPM}", "--latency", "first_ms=20,per_token_ms=1")
    with postgres_server() as database, emulating(environment, *(options or limits)) as url:
        places = environment | {"DATABASE_URL": database.url}
        if redis is not None:
            places["REDIS_URL"] = redis.url
        more = STATE.format(rpm=RPM, rates="" if redis is None else 'rates = "env:REDIS_URL"\n')
        one, two = (make_site(folder / name, url, places, more) for name in ("one", "two"))
        one.start()
        two.state.mkdir(mode=0o700)
        shutil.copytree(one.state / "keys", two.state / "keys")
        if (one.state / "keystore.sealed").exists():
            shutil.copy(one.state / "keystore.sealed", two.state)
        two.start()
        yield Pair(one, two, url, redis)
        for site in (one, two):
            if site.server is not None:
                assert site.stop() == 0


@pytest.fixture(scope="module", params=["postgres", "redis"])
def shared(request, tmp_path_factory, clean_environment) -> Iterator[Pair]:
    """Rates beside the books, or in Redis."""
    folder = tmp_path_factory.mktemp(f"pair-{request.param}")
    if request.param == "postgres":
        with pair(folder, clean_environment, None) as made:
            yield made
        return
    with redis_server() as redis, pair(folder, clean_environment, redis) as made:
        yield made


def account(site: Site, principal: str) -> dict[str, Any]:
    (found,) = (key for key in site.ask("keys.list")["keys"] if key["principal"] == principal)
    return found


async def fire(sites: tuple[Site, ...], key: str, count: int, **members: object) -> Counter[int]:
    """So many calls at once, in turn to each of the sites; statuses, 0 where the connection was lost."""
    statuses: Counter[int] = Counter()
    headers = {"authorization": f"Bearer {key}"}
    body = {
        "model": "gpt-4o",
        "max_tokens": 40,
        "messages": [{"role": "user", "content": "Answer with 9 words"}],
    }

    async def ask(session: aiohttp.ClientSession, site: Site, number: int) -> None:
        asked = body | {"stream": number % 2 == 1} | members
        try:
            async with session.post(site.url + "/v1/chat/completions", json=asked) as answer:
                await answer.read()
                statuses[answer.status] += 1
        except aiohttp.ClientError:
            statuses[0] += 1

    async with aiohttp.ClientSession(headers=headers, connector=aiohttp.TCPConnector(limit=0)) as session:
        turns = zip(itertools.cycle(sites), range(count), strict=False)
        await asyncio.gather(*(ask(session, site, number) for site, number in turns))
    return statuses


def test_a_key_made_in_one_works_in_the_other_and_revoked_in_one_is_refused_in_both(shared):
    key = shared.one.client("eve")
    wait_until(lambda: shared.two.chat(key, model="gpt-4o", max_tokens=5).status == 200)
    assert shared.two.ask("keys.revoke", key_id=account(shared.two, "eve")["id"])
    assert shared.two.chat(key).status == 401
    wait_until(lambda: shared.one.chat(key, model="gpt-4o", max_tokens=5).status == 401)


def test_a_stream_of_one_ends_when_its_key_is_revoked_in_the_other(shared):
    key = shared.one.client("eva")
    wait_until(lambda: shared.two.call("GET", "/v1/models", headers={"x-api-key": key}).status == 200)
    body = {"model": "gpt-4o", "stream": True, "max_tokens": 8000}
    asked = body | {"messages": [{"role": "user", "content": "Answer with 7000 words"}]}
    headers = {"x-api-key": key, "content-type": "application/json"}
    request = urllib.request.Request(
        shared.two.url + "/v1/chat/completions", json.dumps(asked).encode(), headers
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert answer.readline()
        shared.one.ask("keys.revoke", key_id=key[4:16])
        lines = [line for line in iter(answer.readline, b"") if line.startswith(b"data: ")]  # until it is cut
    assert json.loads(lines[-1].removeprefix(b"data: "))["error"]["code"] == "unauthorized"
    wait_until(lambda: account(shared.one, "eva")["held_usd_micros"] == 0)


def test_one_budget_holds_for_calls_through_both(shared):
    limit = DOLLAR // 20
    key = shared.one.client("ada", budget_usd_micros=limit)
    wait_until(lambda: shared.two.call("GET", "/v1/models", headers={"x-api-key": key}).status == 200)
    statuses = asyncio.run(fire(shared.both, key, 80))
    assert statuses.keys() == {200, 402}
    assert min(statuses.values()) > 10
    for site in shared.both:
        ada = account(site, "ada")
        assert (ada["held_usd_micros"], ada["spent_usd_micros"] <= limit) == (0, True)
    calls = [call for call in shared.one.told("chat-completed") if call["principal"] == "ada"]
    assert sum(call["usd_micros"] for call in calls) == account(shared.two, "ada")["spent_usd_micros"]
    seen_by_one = shared.one.log()
    assert shared.two.log()[: len(seen_by_one)] == seen_by_one  # refusals may be told a little later


@pytest.mark.sweep
def test_one_limit_of_the_provider_holds_for_calls_through_both(shared):
    key = shared.two.client("max")
    wait_until(lambda: shared.one.call("GET", "/v1/models", headers={"x-api-key": key}).status == 200)

    def answered() -> int:
        return int(shared.statistics()["models"].get("gpt-4o-mini", {}).get("answered", 0))

    async def for_a_while() -> None:
        before = answered()
        firing = asyncio.create_task(fire(shared.both, key, 600, model="gpt-4o-mini", max_tokens=5))
        while await asyncio.to_thread(answered) < before + 40:
            await asyncio.sleep(0.1)
        with suppress(TimeoutError):  # whoever waits then leaves
            await asyncio.wait_for(firing, 2)

    asyncio.run(for_a_while())
    wait_until(lambda: account(shared.one, "max")["held_usd_micros"] == 0)
    told = shared.statistics()
    assert sum(told["rate_limited"].values()) == 0
    assert told["statuses"].get("429", 0) == 0


def test_the_same_request_under_its_key_is_done_once_whichever_gateway_it_comes_to(shared):
    key = shared.one.client("ida")
    wait_until(lambda: shared.two.call("GET", "/v1/models", headers={"x-api-key": key}).status == 200)
    body = json.dumps(
        {"model": "gpt-4o", "max_tokens": 9, "messages": [{"role": "user", "content": "Answer with 3 words"}]}
    ).encode()
    headers = {"x-api-key": key, "content-type": "application/json", "idempotency-key": "once"}
    first = shared.one.call("POST", "/v1/chat/completions", body, headers)
    again = shared.two.call("POST", "/v1/chat/completions", body, headers)
    assert (first.status, again.status, again.body) == (200, 200, first.body)
    assert again.headers["idempotency-replayed"] == "true"
    other = shared.two.call("POST", "/v1/chat/completions", body.replace(b"3 words", b"4 words"), headers)
    assert other.status == 422
    assert len([call for call in shared.one.told("chat-completed") if call["principal"] == "ida"]) == 1


def test_with_the_rates_away_calls_are_told_to_come_back_and_are_served_when_they_are_there_again(shared):
    if shared.redis is None:
        return  # rates beside the books go and come with them: tests/adapters/postgres/test_failures.py
    key = shared.one.client("abe")
    assert shared.one.chat(key, max_tokens=5).status == 200
    shared.redis.stop()
    away = shared.one.chat(key, max_tokens=5)
    assert away.status == 503
    assert int(away.headers["retry-after"]) >= 1
    assert away.json["error"]["type"] == "overloaded_error"
    assert away.json["error"]["message"] == "the shared limits cannot be reached"
    assert b"macroslow-redis" not in away.body, "where the store is, is its operator's to know"
    assert account(shared.one, "abe")["held_usd_micros"] == 0
    shared.redis.start()
    wait_until(lambda: shared.one.chat(key, max_tokens=5).status == 200)


def test_a_second_process_with_keys_of_its_own_does_not_start(shared, tmp_path):
    stranger = make_site(
        tmp_path / "stranger",
        shared.emulator_url,
        shared.one.environment,
        (shared.one.folder / "macroslow.toml").read_text().partition("emulator = true")[2],
    )
    done = stranger.command("serve", "--listen", "127.0.0.1:0")
    assert done.returncode == 78
    assert "Traceback" not in done.stderr


@pytest.mark.sweep
def test_what_a_killed_gateway_held_is_charged_by_the_other_and_the_log_stays_whole(
    tmp_path, clean_environment
):
    slow = ("--latency", "first_ms=500,per_token_ms=20")
    with pair(tmp_path, clean_environment, None, *slow) as made:
        key = made.one.client("ada", budget_usd_micros=DOLLAR)
        bob = made.one.client("bob", budget_usd_micros=DOLLAR)
        wait_until(lambda: made.two.call("GET", "/v1/models", headers={"x-api-key": bob}).status == 200)
        executing = threading.Thread(target=_execute_in_vain, args=(made.one, bob))
        executing.start()
        wait_until(lambda: account(made.two, "bob")["held_usd_micros"] == DOLLAR)

        async def killed_in_the_middle() -> Counter[int]:
            firing = asyncio.create_task(fire((made.one,), key, 12))
            while not await asyncio.to_thread(lambda: account(made.two, "ada")["held_usd_micros"]):
                await asyncio.sleep(0.02)
            await asyncio.to_thread(made.one.stop, signal.SIGKILL)
            return await firing

        statuses = asyncio.run(killed_in_the_middle())
        assert statuses[0] > 0, "the kill met calls under way"
        assert asyncio.run(fire((made.two,), key, 12)) == {200: 12}, "the other serves on"
        wait_until(lambda: account(made.two, "ada")["held_usd_micros"] == 0, limit_s=90)
        unknown = made.two.told("chat-unknown")
        assert unknown
        spent = account(made.two, "ada")["spent_usd_micros"]
        assert (
            spent == sum(call["usd_micros"] for call in unknown + made.two.told("chat-completed")) <= DOLLAR
        )
        wait_until(lambda: account(made.two, "bob")["held_usd_micros"] == 0, limit_s=30)
        executing.join()
        (run,) = made.two.call("GET", "/runs", headers={"x-api-key": bob}).json["runs"]
        assert run["state"] == "interrupted"
        assert [told["run_id"] for told in made.two.told("run-interrupted")] == [run["run_id"]]
        assert account(made.two, "bob")["spent_usd_micros"] == 0
        assert made.two.execute(bob, document("result = 1")).json["status"] == "success"
        made.one.start()
        seen_by_one = made.one.log()
        assert made.two.log()[: len(seen_by_one)] == seen_by_one
        assert made.one.data("audit", "verify")["entries"]


def _execute_in_vain(site: Site, key: str) -> None:
    """Run a document that may call models and sleeps longer than its gateway lives."""
    sleeps = document("import time\ntime.sleep(300)", execute='"gateway://local", "api://openai"')
    with suppress(OSError, http.client.HTTPException):
        answer = site.execute(key, sleeps)
        raise AssertionError(f"a killed gateway answered {answer.status}")
