"""A revoked key is of no more use to anybody: streams, runs, waiting calls and tools end, and are charged."""

import json
import os
import threading
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.conftest import Answered, Site, emulating, make_site, wait_until
from tests.e2e.documents import document

SLOW = ("--latency", "first_ms=50,per_token_ms=200")
SLEEP = ("sleep", f"76.{os.getpid()}")  # as no other test's, whose run may go on at the same time
SLEEPS = document(" ".join(SLEEP), language="bash")
LINE = """
[providers.openai.limits]
concurrency = 1
"""


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory, clean_environment: dict[str, str]) -> Iterator[Site]:
    """A gateway whose provider answers slowly, and takes one call at a time."""
    with emulating(clean_environment, *SLOW) as url:
        made = make_site(tmp_path_factory.mktemp("slow"), url, clean_environment, LINE)
        made.start()
        yield made
        made.stop()


@pytest.fixture
def elsewhere() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as executor:
        yield executor


def key_id(key: str) -> str:
    return key[4:16]


def sleepers() -> int:
    found = 0
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found += path.read_text("utf-8", "replace").split("\0")[:-1] == [*SLEEP]
        except OSError:
            continue
    return found


def held(site: Site, key: str) -> int:
    return int(site.ask("keys.show", key_id=key_id(key))["held_usd_micros"])


def ended(site: Site, asking: "Future[Answered]", key: str) -> Answered:
    """The answer of a request whose key is revoked meanwhile."""
    site.ask("keys.revoke", key_id=key_id(key), reason="test")
    return asking.result(60)


def stream(site: Site, key: str, begun: threading.Event) -> list[bytes]:
    """The lines of a streamed answer, until it ends, whole or not."""
    body = {"model": "gpt-4o-mini", "stream": True, "messages": [{"role": "user", "content": "tell me all"}]}
    sent = {"x-api-key": key, "content-type": "application/json"}
    request = urllib.request.Request(
        f"{site.url}/v1/chat/completions", json.dumps(body | {"max_tokens": 400}).encode(), sent
    )
    lines = []
    with urllib.request.urlopen(request, timeout=60) as answer:
        while line := answer.readline():
            lines.append(line)
            begun.set()
    return lines


def test_a_stream_is_cut_with_an_error_and_charged_as_a_hang_up(slow: Site, elsewhere) -> None:
    key, begun = slow.client("ada"), threading.Event()
    streaming = elsewhere.submit(stream, slow, key, begun)
    assert begun.wait(60)
    slow.ask("keys.revoke", key_id=key_id(key))
    lines = [line for line in streaming.result(60) if line.startswith(b"data: ")]
    assert json.loads(lines[-1].removeprefix(b"data: "))["error"]["code"] == "unauthorized"
    wait_until(lambda: not held(slow, key))
    assert slow.told("chat-completed")[-1]["outcome"] == "aborted"
    assert slow.ask("keys.show", key_id=key_id(key))["spent_usd_micros"] > 0


def test_a_call_that_waits_its_turn_is_refused_and_costs_nothing(slow: Site, elsewhere) -> None:
    busy, key, begun = slow.client("ada"), slow.client("bob"), threading.Event()
    streaming = elsewhere.submit(stream, slow, busy, begun)
    assert begun.wait(60)
    waiting = elsewhere.submit(slow.chat, key)

    page = slow.client("page", scopes=["operations:read"])

    def in_line() -> bool:
        told = slow.call("GET", "/metrics", headers={"x-api-key": page}).body.decode().splitlines()
        waiting = [line for line in told if line.startswith("macroslow_waiting_calls{")]
        return any(float(line.rsplit(" ", 1)[1]) > 0 for line in waiting)

    wait_until(in_line)
    answer = ended(slow, waiting, key)
    assert (answer.status, answer.json["error"]["code"]) == (401, "unauthorized")
    assert slow.ask("keys.show", key_id=key_id(key))["spent_usd_micros"] == 0
    slow.ask("keys.revoke", key_id=key_id(busy))
    streaming.result(60)


def run_over_http(site: Site, key: str) -> Answered:
    return site.execute(key, SLEEPS)


def run_as_a_tool(site: Site, key: str) -> Answered:
    call = {"name": "run_document", "arguments": {"document": SLEEPS.decode()}}
    body: dict[str, Any] = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call}
    sent = {
        "x-api-key": key,
        "content-type": "application/json",
        "accept": "application/json, text/event-stream",
        "mcp-protocol-version": "2025-11-25",
    }
    return site.call("POST", "/mcp", json.dumps(body).encode(), sent)


def run_once(site: Site, key: str) -> Answered:
    """With a key for repetition, which survives its caller but not its credential."""
    return site.execute(key, SLEEPS, **{"idempotency-key": f"once-{key_id(key)}"})


@pytest.mark.parametrize("run", [run_over_http, run_as_a_tool, run_once])
def test_a_run_is_stopped_as_if_it_was_cancelled(
    slow: Site, elsewhere, run: Callable[[Site, str], Answered]
) -> None:
    key, other = slow.client("eve"), slow.client("eve")
    running = elsewhere.submit(run, slow, key)
    wait_until(sleepers)
    assert ended(slow, running, key).status == 401
    wait_until(lambda: not sleepers())

    def states() -> set[str]:
        return {one["state"] for one in slow.call("GET", "/runs", headers={"x-api-key": other}).json["runs"]}

    wait_until(lambda: states() == {"cancelled"})  # the work of a tool or a kept answer ends by itself


def test_in_an_emergency_all_of_it_ends_at_once(slow: Site, elsewhere) -> None:
    keys = [slow.client("eve") for _ in range(2)]
    running = [elsewhere.submit(run_over_http, slow, key) for key in keys]
    wait_until(lambda: sleepers() == 2)
    assert slow.command("emergency", "revoke-all", "--reason", "leak", "--yes").returncode == 0
    assert [one.result(60).status for one in running] == [401, 401]
    assert {slow.chat(key).status for key in keys} == {401}
