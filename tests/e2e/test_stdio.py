"""N16: `serve --stdio` as MCP clients start it: real processes, the official client, both eras."""

import json
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from mcp import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from tests.e2e.conftest import MACROSLOW, Site, make_site, wait_until
from tests.e2e.documents import document

from macroslow import control

ERAS = ["auto", "legacy"]
STDIO = [*MACROSLOW, "serve", "--stdio"]
LIST = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}
HELLO = {
    "jsonrpc": "2.0",
    "id": 0,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "t", "version": "1"},
    },
}
READY = {"jsonrpc": "2.0", "method": "notifications/initialized"}
META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
}


@pytest.fixture
def alone(tmp_path: Path, emulator_url: str, clean_environment: dict[str, str]) -> Site:
    """A configured folder in which nothing runs."""
    return make_site(tmp_path / "alone", emulator_url, clean_environment)


@asynccontextmanager
async def client(site: Site, era: str, **environment: str) -> AsyncIterator[Client]:
    command, *arguments = STDIO
    started = StdioServerParameters(
        command=command, args=arguments, cwd=site.folder, env=site.environment | environment
    )
    async with Client(stdio_client(started), mode=era) as connected:
        yield connected


class Piped:
    """One process, spoken to line by line."""

    def __init__(self, site: Site, **environment: str) -> None:
        self.process = subprocess.Popen(
            STDIO,
            cwd=site.folder,
            env=site.environment | environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.stdin, self.stdout = self.process.stdin, self.process.stdout

    def say(self, *messages: dict[str, Any] | bytes) -> None:
        for message in messages:
            line = message if isinstance(message, bytes) else json.dumps(message).encode()
            self.stdin.write(line + b"\n")
        self.stdin.flush()

    def hear(self) -> dict[str, Any]:
        line = self.stdout.readline()
        assert line, self.process.communicate(timeout=60)[1].decode()
        heard: dict[str, Any] = json.loads(line)
        return heard

    def ask(self, message: dict[str, Any]) -> dict[str, Any]:
        self.say(message)
        return self.hear()

    def begin(self) -> None:
        told = self.ask(HELLO)
        assert told.get("result", {}).get("protocolVersion") == "2025-11-25", told
        self.say(READY)


@contextmanager
def piped(site: Site, **environment: str) -> Iterator[Piped]:
    pipe = Piped(site, **environment)
    try:
        yield pipe
    finally:
        pipe.process.kill()
        pipe.process.communicate(timeout=60)


def call(name: str, message_id: object = 5, **arguments: Any) -> dict[str, Any]:
    params = {"name": name, "arguments": arguments}
    return {"jsonrpc": "2.0", "id": message_id, "method": "tools/call", "params": params}


@pytest.mark.parametrize("era", ["auto", pytest.param("legacy", marks=pytest.mark.sweep)])
async def test_n16_the_official_client_is_served_by_a_gateway_of_its_own(era: str, alone: Site) -> None:
    async with client(alone, era) as connected:
        assert connected.protocol_version == {"auto": "2026-07-28", "legacy": "2025-11-25"}[era]
        assert "complete_chat" in {tool.name for tool in (await connected.list_tools()).tools}
        messages = [{"role": "user", "content": "Answer with exactly: forty-two"}]
        answer = await connected.call_tool("complete_chat", {"model": "gpt-4o-mini", "messages": messages})
        assert not answer.is_error
    assert not (alone.state / "control.sock").exists()  # it ended in order


@pytest.mark.parametrize("era", ERAS)
async def test_n16_where_a_gateway_runs_it_serves_two_clients_at_once(era: str, site: Site) -> None:
    narrow = site.client("narrow", scopes=["mcp:connect", "documents:validate"])
    async with client(site, era, MACROSLOW_API_KEY=narrow) as one, client(site, era) as other:
        few = {tool.name for tool in (await one.list_tools()).tools}
        many = {tool.name for tool in (await other.list_tools()).tools}
    assert few < many
    assert "validate_document" in few
    assert "complete_chat" in many - few
    assert site.call("GET", "/health/live").status == 200  # it goes on


def test_n16_what_is_not_piped_to_the_client_is_on_stderr(alone: Site) -> None:
    """Every line of stdout is JSON-RPC, though a block prints and the log is at its loudest."""
    with piped(alone, MACROSLOW__SERVER__LOG_LEVEL="debug") as pipe:
        pipe.begin()
        printing = document("import os\nprint('noise'); os.write(1, b'noise'); result = {}").decode()
        pipe.say(call("run_document", document=printing))
        rest, told = pipe.process.communicate(timeout=100)
    heard = [json.loads(line) for line in rest.splitlines()]
    assert [message["id"] for message in heard] == [5]
    assert b"macroslow stopped" in told
    assert pipe.process.returncode == 0


def test_n16_who_names_no_version_is_told_how_to_begin(site: Site) -> None:
    with piped(site) as pipe:
        told = pipe.ask(LIST)["error"]
        assert told["code"] == -32602
        assert "initialize" in told["message"]
        assert "_meta io.modelcontextprotocol/protocolVersion" in told["message"]
        pipe.begin()
        assert pipe.ask(LIST)["result"]["tools"]


def test_n16_the_end_of_stdin_is_the_end_once_what_is_under_way_is_answered(site: Site) -> None:
    with piped(site) as pipe:
        pipe.say(HELLO, READY, *(LIST | {"id": number} for number in range(1, 20)))
        out, _ = pipe.process.communicate(timeout=100)
    assert sorted(json.loads(line)["id"] for line in out.splitlines()) == list(range(20))
    assert pipe.process.returncode == 0


def test_n16_without_a_word_it_ends_at_once(alone: Site) -> None:
    done = subprocess.run(
        STDIO,
        check=False,
        cwd=alone.folder,
        env=alone.environment,
        input=b"",
        capture_output=True,
        timeout=100,
    )
    assert (done.returncode, done.stdout) == (0, b"")


@pytest.mark.parametrize(
    "number",
    [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.sweep)],
    ids=["SIGTERM", "SIGINT"],
)
@pytest.mark.parametrize("own", [True, False], ids=["its own gateway", "another's"])
def test_n16_a_signal_ends_it_in_order(own: bool, number: int, alone: Site, site: Site) -> None:
    with piped(alone if own else site) as pipe:
        pipe.begin()
        pipe.process.send_signal(number)
        out, told = pipe.process.communicate(timeout=100)
    assert (pipe.process.returncode, out) == (0, b""), told.decode()


@pytest.mark.sweep
def test_n16_a_client_that_is_killed_ends_what_was_done_for_it(site: Site) -> None:
    with piped(site) as pipe:
        pipe.begin()
        slow = document("import time\ntime.sleep(600)").decode()
        pipe.say(call("run_document", document=slow))
        wait_until(lambda: any(run["state"] == "running" for run in runs_of_local(site)))
        pipe.process.kill()
    wait_until(lambda: not any(run["state"] == "running" for run in runs_of_local(site)))


def runs_of_local(site: Site) -> list[dict[str, Any]]:
    with piped(site) as pipe:
        pipe.begin()
        result = pipe.ask(call("list_runs"))["result"]
    found: list[dict[str, Any]] = result["structuredContent"]["runs"]
    return found


@pytest.mark.sweep
def test_n16_a_gateway_that_is_killed_is_followed_by_the_next(alone: Site) -> None:
    with piped(alone) as first, piped(alone) as second:
        first.begin()
        second.begin()
        owner, other = (first, second) if holds(alone, first) else (second, first)
        other.say(call("run_document", 8, document=document("import time\ntime.sleep(600)").decode()))
        wait_until(lambda: len(alone_runs(alone)) == 1)
        owner.process.kill()
        broken = other.hear()
        assert (broken["id"], broken["error"]["code"]) == (8, -32603)
        again = other.ask(LIST | {"id": 9})
        assert again["id"] == 9
        assert again["result"]["tools"]


@pytest.mark.sweep
def test_n16_a_gateway_that_listens_takes_the_place_of_a_clients_own(alone: Site) -> None:
    with piped(alone) as first, piped(alone) as second:
        first.begin()
        second.begin()
        alone.start()
        assert alone.server is not None
        assert (alone.state / "lock").read_text().strip() == str(alone.server.pid)
        for pipe in (first, second):
            assert pipe.ask(LIST | {"id": 9})["result"]["tools"]
        first.process.send_signal(signal.SIGTERM)
        assert first.process.wait(60) == 0
        assert alone.stop() == 0
        assert second.ask(LIST | {"id": 10})["result"]["tools"]  # by one of its own
        alone.start()
        assert second.ask(LIST | {"id": 11})["result"]["tools"]
        assert alone.stop() == 0


def test_n16_a_gateway_that_listens_gives_way_to_none(site: Site) -> None:
    other = site.command("serve", "--listen", "127.0.0.1:0")
    assert (other.returncode, "is in use by process" in other.stderr) == (78, True)


def holds(site: Site, pipe: Piped) -> bool:
    return (site.state / "lock").read_text().strip() == str(pipe.process.pid)


def alone_runs(site: Site) -> list[Any]:
    entries = control.call(site.state / "control.sock", "audit.tail", {"start": 0, "count": 1000})
    assert isinstance(entries, dict)
    return [entry for entry in entries["entries"] if "accepted" in entry["type"]]


def test_n16_a_bad_key_is_refused_before_a_word(site: Site) -> None:
    for key in ("", "msk_wrong", site.client("gone") + "x"):
        with piped(site, MACROSLOW_API_KEY=key) as pipe:
            pipe.say(HELLO)
            out, told = pipe.process.communicate(timeout=100)
        assert out == b""
        assert pipe.process.returncode not in {0, None}
        assert b"MACROSLOW_API_KEY" in told
        assert (b"empty" in told) == (not key)
        assert not key or key.encode() not in told


def test_n16_it_is_a_client_and_never_an_administrator(site: Site) -> None:
    administrator = str(site.data("keys", "create", "root", "--scope", "admin:keys")["key"])
    with piped(site, MACROSLOW_API_KEY=administrator) as pipe:
        pipe.say(HELLO)
        out, _ = pipe.process.communicate(timeout=100)
    assert out == b""
    with piped(site) as pipe:
        pipe.begin()
        told = pipe.ask({"jsonrpc": "2.0", "id": 3, "method": "keys.create", "params": {"principal": "x"}})
        assert told["error"]["code"] == -32601
        pipe.say(b'{"verb": "keys.create", "arguments": {"principal": "x"}}')
        assert pipe.hear()["error"]["code"] == -32600
    assert "x" not in {key["principal"] for key in site.data("keys", "list")["keys"]}


def test_n16_a_revoked_key_is_no_good_in_a_conversation_that_goes_on(site: Site) -> None:
    created = site.data("keys", "create", "leaver")
    with piped(site, MACROSLOW_API_KEY=created["key"]) as pipe:
        pipe.begin()
        assert pipe.ask(LIST)["result"]["tools"]
        site.ask("keys.revoke", key_id=created["id"])
        assert "error" in pipe.ask(LIST | {"id": 2})


LINES: dict[str, tuple[bytes, int]] = {
    "no JSON": (b"{", -32700),
    "a batch": (b"[" + json.dumps(LIST).encode() + b"]", -32600),
    "no UTF-8": (b'{"jsonrpc":"2.0","id":2,"method":"\xff"}', -32700),
    "a member twice": (b'{"jsonrpc":"2.0","id":2,"id":3,"method":"ping"}', -32600),
    "no message": (b'{"id":2}', -32600),
    "5 MiB": (b'{"jsonrpc":"2.0","id":2,"method":"' + b"x" * (5 << 20) + b'"}', -32600),
    "20 MiB": (b'{"jsonrpc":"2.0","id":2,"method":"' + b"x" * (20 << 20) + b'"}', -32600),
}


def test_n16_hostile_lines_are_answered_and_the_conversation_goes_on(site: Site) -> None:
    with piped(site) as pipe:
        pipe.begin()
        for name, (line, code) in LINES.items():
            told = pipe.ask(line)  # type: ignore[arg-type]
            assert (told["id"], told["error"]["code"]) == (None, code), name
            assert len(json.dumps(told)) < 3000
            assert pipe.ask(LIST)["result"]["tools"]
        pipe.say(b"", b"  ")
        assert pipe.ask(LIST | {"id": 4})["id"] == 4


@pytest.mark.sweep
def test_n16_a_request_is_cancelled_by_its_client(site: Site) -> None:
    with piped(site) as pipe:
        slow = document("import time\ntime.sleep(600)").decode()
        asked = call("run_document", 6, document=slow)
        asked["params"]["_meta"] = META
        pipe.say(asked)
        wait_until(lambda: any(run["state"] == "running" for run in runs_of_local(site)))
        cancelled = {
            "jsonrpc": "2.0",
            "method": "notifications/cancelled",
            "params": {"requestId": 6, "_meta": META},
        }
        pipe.say(cancelled)
        wait_until(lambda: not any(run["state"] == "running" for run in runs_of_local(site)))


@pytest.mark.sweep
def test_n16_nothing_of_the_key_is_left_to_children(alone: Site) -> None:
    """The key goes out of the environment before anything is started with it."""
    with piped(alone) as first:
        first.begin()
        key = str(control.call(alone.state / "control.sock", "keys.create", {"principal": "ann"})["key"])  # type: ignore[index]
    with piped(alone, MACROSLOW_API_KEY=key) as pipe:
        pipe.begin()
        ours = Path(f"/proc/self/fd/{pipe.stdout.fileno()}").readlink()
        for process in children(pipe.process.pid):
            assert key.encode() not in Path(f"/proc/{process}/environ").read_bytes()
            assert Path(f"/proc/{process}/fd/1").readlink() != ours


def children(parent: int) -> list[int]:
    listed = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    assert listed
    return [int(each) for each in listed]
