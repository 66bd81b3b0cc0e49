"""A thousand clients at once: on one dollar, and with such as hang up."""

import asyncio
import json
import signal
import socket
from collections import Counter
from collections.abc import Iterator
from urllib.parse import urlsplit

import aiohttp
import pytest
from tests.e2e.conftest import Site, emulating, make_site, wait_until
from tests.e2e.documents import document
from tests.e2e.test_upstream_trouble import MESSAGES, RESPONSES, SETTINGS, Bill, Field, post
from tests.e2e.troubled import troubled_provider

CALLS = 1_000
MIB = 1024 * 1024
DOLLAR = 1_000_000
TAG_LIMIT = 50_000
BUDGETS = """
[[budgets]]
for = "team"
name = "lab"
period = "day"
usd = 1

[[budgets]]
for = "tag"
period = "total"
usd = 0.05

[[budgets]]
for = "all"
period = "month"
usd = 1.5

[models.gpt-4o]
input_usd = 2.5
output_usd = 100
"""
CHAT = "/v1/chat/completions"


def body(number: int, **members: object) -> dict[str, object]:
    asked = [{"role": "user", "content": f"Answer with {number % 20 + 1} words"}]
    return {"model": "gpt-4o", "max_tokens": 40, "messages": asked, "stream": number % 2 == 1} | members


class Crowd:
    """Callers of a gateway who come all at once; `statuses` of whole answers, and who had none."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.statuses: Counter[int] = Counter()
        self.refused: list[dict[str, object]] = []
        self.lost = 0

    async def call(self, session: aiohttp.ClientSession, key: str, number: int, tag: str) -> None:
        headers = {"authorization": f"Bearer {key}"} | ({"x-macroslow-tag": tag} if tag else {})
        try:
            async with session.post(self.site.url + CHAT, json=body(number), headers=headers) as answer:
                raw = await answer.read()
        except aiohttp.ClientError:
            self.lost += 1
            return
        self.statuses[answer.status] += 1
        if answer.status == 402:
            self.refused.append(json.loads(raw)["error"])

    async def come(self, keys: list[str], count: int, tag: str = "", kill_after: int | None = None) -> None:
        """Call so often; kill -9 the server after so many answers."""
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
            calls = [
                asyncio.create_task(self.call(session, keys[number % len(keys)], number, tag))
                for number in range(count)
            ]
            if kill_after is not None:
                until = self.statuses[200] + kill_after
                while self.statuses[200] < until and not all(call.done() for call in calls):
                    await asyncio.sleep(0.01)
                self.site.stop(signal.SIGKILL)
            await asyncio.gather(*calls)


@pytest.fixture(scope="module")
def crowded(tmp_path_factory, clean_environment) -> Iterator[Site]:
    with emulating(clean_environment, "--latency", "first_ms=50,per_token_ms=10") as url:
        site = make_site(tmp_path_factory.mktemp("crowd"), url, clean_environment, BUDGETS)
        site.start()
        yield site
        site.stop()


def budgets(site: Site) -> dict[str, dict[str, int]]:
    """Every budget by its name up to the period, with what is spent and held."""
    return {row["budget"]: row for row in site.ask("usage.budgets")["budgets"]}


def held(site: Site) -> int:
    return sum(key["held_usd_micros"] for key in site.ask("keys.list")["keys"])


def booked(site: Site) -> int:
    """Of the members alone: others call through the same gateway."""
    calls = site.told("chat-completed") + site.told("chat-unknown")
    return sum(call["usd_micros"] for call in calls if call["principal"].startswith("member-"))


@pytest.mark.sweep
def test_a_thousand_clients_of_a_team_do_not_pass_its_dollar_though_the_server_is_killed_twice(crowded):
    keys = [crowded.client(f"member-{number}", team="lab") for number in range(5)]
    crowd = Crowd(crowded)
    for _ in range(2):
        asyncio.run(crowd.come(keys, CALLS // 4, kill_after=30))
        crowded.start()
        assert held(crowded) == 0, "what the dead one held is charged"
        assert budgets_of(crowded, "team/lab/day")["spent_usd_micros"] <= DOLLAR
    for _ in range(2):
        asyncio.run(crowd.come(keys, CALLS // 4))
    wait_until(lambda: held(crowded) == 0)
    assert crowd.lost > 0
    assert crowd.statuses.keys() == {200, 402}
    lab = budgets_of(crowded, "team/lab/day")
    assert lab["held_usd_micros"] == 0
    assert lab["spent_usd_micros"] == booked(crowded) <= DOLLAR
    for error in crowd.refused:
        assert str(error["budget"]).startswith("team/lab/day")
        assert error["spent_usd_micros"] + error["held_usd_micros"] <= DOLLAR
    assert crowded.told("chat-unknown")
    # Now that nothing is held, one caller gets what is left, until not even one reservation fits.
    while (last := crowded.chat(keys[0], **body(19, stream=False))).status == 200:
        pass
    needed = last.json["error"]["needed_usd_micros"]
    assert DOLLAR - needed < budgets_of(crowded, "team/lab/day")["spent_usd_micros"] <= DOLLAR


def budgets_of(site: Site, start: str) -> dict[str, int]:
    (found,) = (row for name, row in budgets(site).items() if name.startswith(start))
    return found


def test_the_first_requests_of_a_tag_come_at_once_and_do_not_pass_its_budget(crowded):
    keys = [crowded.client(f"tagger-{number}") for number in range(4)]
    crowd = Crowd(crowded)
    asyncio.run(crowd.come(keys, 60, tag="never-seen"))
    wait_until(lambda: held(crowded) == 0)
    assert crowd.statuses.keys() == {200, 402}
    tag = budgets_of(crowded, "tag/never-seen")
    assert (tag["held_usd_micros"], 0 < tag["spent_usd_micros"] <= TAG_LIMIT) == (0, True)
    calls = [call for call in crowded.told("chat-completed") if call.get("tag") == "never-seen"]
    assert sum(call["usd_micros"] for call in calls) == tag["spent_usd_micros"]


@pytest.mark.parametrize(
    "tag",
    ["a" * 65, "..", "a b", "a,b", "caf\u00e9", "'; drop table runs", "{}", "*", "-x"],
    ids=ascii,
)
def test_an_absurd_tag_is_refused_by_name_before_anything_is_held(crowded, tag):
    key = crowded.client("absurd")
    sent = {"x-api-key": key, "content-type": "application/json", "x-macroslow-tag": tag}
    before = len(crowded.log())
    got = crowded.call("POST", CHAT, json.dumps(body(1)).encode(), sent)
    assert got.status == 400
    assert got.json["error"]["param"] == "x-macroslow-tag"
    assert not any(entry["type"].startswith("chat-") for entry in crowded.log()[before:])


ONE_CALL = """
import json, os, urllib.request
asked = urllib.request.Request(
    os.environ["OPENAI_BASE_URL"] + "/chat/completions",
    json.dumps({"model": "gpt-4o", "messages": [{"role": "user", "content": "hello"}]}).encode(),
    {"authorization": "Bearer " + os.environ["OPENAI_API_KEY"], "content-type": "application/json"},
)
result = json.load(urllib.request.urlopen(asked, timeout=30))["id"]
"""


def test_who_only_observes_refuses_nothing_and_books_everything(tmp_path, clean_environment):
    with emulating(clean_environment) as url:
        more = BUDGETS.replace("usd = 1\n", "usd = 0.001\n") + '\n[gateway]\nmode = "observe"\n'
        site = make_site(tmp_path / "observe", url, clean_environment, more)
        site.start()
        keys = [site.client(f"member-{n}", team="lab", budget_usd_micros=1) for n in range(3)]
        crowd = Crowd(site)
        asyncio.run(crowd.come(keys, 60, tag="watched"))
        assert crowd.statuses == {200: 60}
        assert held(site) == 0
        lab = budgets_of(site, "team/lab/day")
        assert lab["spent_usd_micros"] == booked(site) > 1_000
        calls = document(ONE_CALL, execute='"gateway://local", "api://openai"')
        for key in (keys[0], site.client("poor", team="lab", budget_usd_micros=0)):
            ran = site.execute(key, calls)
            assert (ran.status, ran.json["status"]) == (200, "success"), ran.json
            assert ran.json["usage"]["usd_micros"] > 0
        assert held(site) == 0
        over = {call.get("would_refuse", "") for call in site.told("chat-completed")}
        assert {found.split("/")[0] for found in over} >= {"key"}
        assert site.stop() == 0
        assert [note for note in site.notes if note.startswith("mode observe: NO budget refuses")]
        told = [line.partition(" macroslow.server: ")[2] for line in site.said.splitlines()]
        started, stops, stopped = filter(None, told)
        assert "starts: mode observe" in started
        assert (stops.split(":")[0], stopped) == ("macroslow stops", "macroslow stopped")


@pytest.fixture(scope="module")
def leaving(tmp_path_factory, clean_environment) -> Iterator[Field]:
    """A provider that pauses before each event, so that who leaves does so in the middle."""
    with troubled_provider("first_ms=5,per_token_ms=15") as provider:
        more = SETTINGS.format(url=provider.url, deadline_s=60, attempts=1)
        site = make_site(tmp_path_factory.mktemp("leaving"), provider.url, clean_environment, more)
        site.start()
        yield Field(site, provider, site.client("ada", budget_usd_micros=100 * DOLLAR))
        site.stop()


STREAMS_TO_LEAVE = {
    "chat": (CHAT, body(1, model="gpt-4o-mini")),
    "responses": (RESPONSES[0], RESPONSES[1] | {"stream": True}),
    "messages": (MESSAGES[0], MESSAGES[1] | {"stream": True}),
}


@pytest.mark.parametrize("name", STREAMS_TO_LEAVE)
def test_who_leaves_after_any_event_pays_for_what_came_and_at_most_what_was_reserved(leaving, name):
    path, asked = STREAMS_TO_LEAVE[name]
    count = len(post(leaving.site, leaving.key, path, asked).events)
    wait_until(lambda: held(leaving.site) == 0)
    leaving.booked()
    for events in range(count):
        before = leaving.bill
        leave_after(leaving, path, asked, events)
        wait_until(lambda: held(leaving.site) == 0)
        wait_until(lambda before=before: leaving.bill.answers == before.answers + 1)
        call = leaving.booking()
        assert call["outcome"] in {"ok", "aborted"}
        bill: Bill = leaving.bill.since(before)
        assert call["output_tokens"] >= bill.output_tokens or call["outcome"] == "ok"
        assert call["output_tokens"] <= asked.get("max_tokens", asked.get("max_output_tokens"))
        assert call["usd_micros"] >= bill.usd_micros


def leave_after(leaving: Field, path: str, asked: dict[str, object], events: int) -> None:
    """Read so many events of a stream, then close the connection."""
    raw = json.dumps(asked).encode()
    place = urlsplit(leaving.site.url)
    with socket.create_connection((place.hostname, place.port), 60) as connection:
        connection.sendall(
            b"POST %b HTTP/1.1\r\nhost: 127.0.0.1\r\nx-api-key: %b\r\ncontent-type: application/json\r\n"
            b"content-length: %d\r\n\r\n%b" % (path.encode(), leaving.key.encode(), len(raw), raw)
        )
        got = connection.recv(65_536)
        while b"\r\n\r\n" not in got or got.count(b"\n\n") < events:
            piece = connection.recv(65_536)
            assert piece
            got += piece
