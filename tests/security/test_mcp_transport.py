"""What comes at /mcp that no honest client sends (N11 to N15, N21), and what it leaves behind: nothing."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.security.mcp_house import (
    BOTH,
    ERAS,
    LEGACY,
    META,
    MODERN,
    MCPHouse,
    headers_of,
    mcp_house,
    message,
)
from tests.web.fakes import build, call

from macroslow.authz import scopes
from macroslow.services.identity.manage_keys import NewKey
from macroslow.services.identity.withdraw_ended import WithdrawEnded
from macroslow.web.mcp import message as rpc_message
from macroslow.web.messages import Message
from macroslow.web.routes import ROUTES, Route

USAGE: dict[str, Any] = {"name": "usage", "arguments": {}}


@pytest.fixture
async def mcp() -> AsyncIterator[MCPHouse]:
    async with mcp_house() as made:
        yield made


# N11


FOREIGN_HOSTS = [
    "evil.example",
    "localhost.evil.example",
    "127.0.0.1.evil.example",
    "evil.example:8000",
    "127.0.0.2",
    "[::2]",
    "169.254.169.254",
    "0",
    "2130706433",
]
FOREIGN_ORIGINS = [
    "null",
    "http://evil.example",
    "http://localhost.evil.example",
    "http://127.0.0.1:8001",
    "http://127.0.0.1",
    "http://localhost:8000",
    "file://",
    "http://127.0.0.1:8000@evil.example",
    "chrome-extension://abcdefghijklmnop",
]


def concrete(route: Route) -> str:
    return route.path.replace("{id}", "r1").replace("{path...}", "0/000")


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
async def test_n11_no_route_answers_to_a_foreign_host_or_origin(route: Route) -> None:
    house = await build()
    body = b"{}" if route.cap_bytes else b""
    for name, given in (
        *(("host", one) for one in FOREIGN_HOSTS),
        *(("origin", one) for one in FOREIGN_ORIGINS),
    ):
        answer = await house.ask(route.method, concrete(route), headers=[(name, given)], body=body)
        assert answer.status == 403, (name, given)
        assert answer.body_reads == 0
        assert "evil" not in answer.body.decode()
    assert house.seen.mcp == []


# N12


def lying(**headers: str) -> dict[str, str]:
    return {
        "accept": BOTH,
        "mcp-protocol-version": MODERN,
        "mcp-method": "tools/call",
        "mcp-name": "usage",
    } | {name.replace("_", "-"): said for name, said in headers.items()}


LIES = {
    "another method": (lying(mcp_method="tools/list"), 400, -32020),
    "another tool": (lying(mcp_name="run_document"), 400, -32020),
    "another case of the tool": (lying(mcp_name="Usage"), 400, -32020),
    "no method": ({k: v for k, v in lying().items() if k != "mcp-method"}, 400, -32020),
    "no name": ({k: v for k, v in lying().items() if k != "mcp-name"}, 400, -32020),
    "a version that is not the body's": (lying(mcp_protocol_version="2026-07-29"), 400, None),
    "a version that nobody knows": (lying(mcp_protocol_version="1999-01-01"), 400, None),
}


@pytest.mark.parametrize("case", LIES.values(), ids=LIES)
async def test_n12_headers_that_lie_about_the_body_are_refused(case: Any, mcp: MCPHouse) -> None:
    headers, status, code = case
    answer = await mcp.post(message("tools/call", USAGE), headers)
    assert answer.status == status
    assert code is None or answer.json["error"]["code"] == code
    assert mcp.tools.asked == []


@pytest.mark.parametrize("name", ["mcp-method", "mcp-name", "mcp-protocol-version"])
@pytest.mark.parametrize("first", [True, False], ids=["first", "last"])
async def test_n12_a_header_that_is_there_twice_decides_nothing(
    name: str, first: bool, mcp: MCPHouse
) -> None:
    body = message("tools/call", USAGE)
    good = list(headers_of(body).items())
    other = (name, {"mcp-method": "tools/list", "mcp-name": "run_document"}.get(name, LEGACY))
    given = [other, *good] if first else [*good, other]
    answer = await mcp.house.ask("POST", "/mcp", headers=given, body=body)
    assert answer.status == 400
    assert mcp.tools.asked == []


@pytest.mark.parametrize(
    ("params", "headers", "code"),
    [
        ({}, {"mcp-method": "server/discover"}, -32602),
        ({"_meta": {**META, "io.modelcontextprotocol/protocolVersion": "2027-01-01"}}, {}, -32020),
        ({"_meta": {k: v for k, v in META.items() if "Capabilities" not in k}}, {}, -32602),
    ],
    ids=["no _meta", "another version in the body", "no capabilities"],
)
async def test_n12_an_envelope_that_is_not_whole_is_refused(
    params: dict[str, Any], headers: dict[str, str], code: int, mcp: MCPHouse
) -> None:
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "server/discover", "params": params}).encode()
    given = {"accept": BOTH, "mcp-protocol-version": MODERN, "mcp-method": "server/discover"} | headers
    answer = await mcp.post(body, given)
    assert (answer.status, answer.json["error"]["code"]) == (400, code)


async def test_n12_a_version_that_is_not_spoken_is_answered_with_those_that_are(mcp: MCPHouse) -> None:
    meta = {**META, "io.modelcontextprotocol/protocolVersion": "2027-01-01"}
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"_meta": meta}}).encode()
    given = {"accept": BOTH, "mcp-protocol-version": "2027-01-01", "mcp-method": "tools/list"}
    answer = await mcp.post(body, given)
    assert (answer.status, answer.json["error"]["code"]) == (400, -32022)
    assert MODERN in answer.json["error"]["data"]["supported"]
    unknown = await mcp.ask("no/such/method")
    assert (unknown.status, unknown.json["error"]["code"]) == (404, -32601)


@pytest.mark.parametrize("era", ERAS)
async def test_n12_a_limit_holds_whatever_the_headers_say(era: str) -> None:
    async with mcp_house() as mcp:
        key = await mcp.house.new_key("ann", scopes=scopes.CLIENT_DEFAULT, requests_per_minute=3)
        lies = [{}, {"mcp-name": "other"}, {"mcp-method": "ping"}, {"mcp-protocol-version": "x"}]
        statuses = [
            (await mcp.ask("tools/call", USAGE, era=era, key=key, headers=lie)).status for lie in lies
        ]
    assert statuses[3] == 429
    assert 429 not in statuses[:3]


# N13


DEEP = b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"usage","arguments":{"by":'
HOSTILE: dict[str, bytes] = {
    "nothing": b"",
    "no JSON": b"{",
    "null": b"null",
    "a number": b"1",
    "a batch": b"[" + message("tools/list") + b"," + message("tools/list") + b"]",
    "an empty batch": b"[]",
    "invalid UTF-8": b'{"jsonrpc":"2.0","id":1,"method":"\xff"}',
    "UTF-16": '{"jsonrpc":"2.0","id":1,"method":"tools/list"}'.encode("utf-16"),
    "a byte order mark": b"\xef\xbb\xbf" + message("tools/list"),
    "half of a surrogate pair": b'{"jsonrpc":"2.0","id":1,"method":"\\ud800"}',
    "NaN": b'{"jsonrpc":"2.0","id":NaN,"method":"tools/list"}',
    "Infinity": b'{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"a":-Infinity}}',
    "1e400": b'{"jsonrpc":"2.0","id":1e400,"method":"tools/list"}',
    "5000 digits": b'{"jsonrpc":"2.0","id":' + b"9" * 5000 + b',"method":"tools/list"}',
    "an id beyond 2^53": b'{"jsonrpc":"2.0","id":9007199254740992,"method":"tools/list"}',
    "an id of half": b'{"jsonrpc":"2.0","id":1.5,"method":"tools/list"}',
    "an id that is true": b'{"jsonrpc":"2.0","id":true,"method":"tools/list"}',
    "an id that is null": b'{"jsonrpc":"2.0","id":null,"method":"tools/list"}',
    "an id that is a list": b'{"jsonrpc":"2.0","id":[1],"method":"tools/list"}',
    "a long id": b'{"jsonrpc":"2.0","id":"' + b"x" * 257 + b'","method":"tools/list"}',
    "a long method": b'{"jsonrpc":"2.0","id":1,"method":"' + b"x" * 129 + b'"}',
    "100000 lists": b"[" * 100_000,
    "1000 lists, closed": DEEP + b"[" * 1000 + b"]" * 1000 + b"}}}",
    "65 lists": DEEP + b"[" * 65 + b"]" * 65 + b"}}}",
    "a million items": DEEP + b"[" + b"1," * 1_000_000 + b"1]}}}",
    "400000 members": DEEP + b"{" + b",".join(b'"%d":1' % each for each in range(400_000)) + b"}}}}",
    "an integer beyond 64 bits": DEEP + b"1180591620717411303424}}}",
    "a million objects": DEEP + b"[" + b"{}," * 1_000_000 + b"{}]}}}",
    "two methods": b'{"jsonrpc":"2.0","id":1,"method":"tools/list","method":"tools/call"}',
    "two methods by another case": b'{"jsonrpc":"2.0","id":1,"method":"tools/list","Method":"tools/call"}',
    "two by a letter that folds": '{"jsonrpc":"2.0","id":1,"method":"x","param\u017f":{}}'.encode(),
    "another case alone": b'{"jsonrpc":"2.0","id":1,"method":"tools/call","PARAMS":{"name":"usage"}}',
    "two names": b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"usage"'
    + b',"name":"run_document"}}',
    "two arguments": DEEP + b'"key","by":"tag"}}}',
    "params that are a list": b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":["usage"]}',
    "params that are null": b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":null}',
    "more than 4 MiB": DEEP + b'"' + b"x" * (4 << 20) + b'"}}}',
}


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE)
async def test_n13_a_hostile_body_is_answered_as_what_it_is(body: bytes, era: str, mcp: MCPHouse) -> None:
    given = {"accept": BOTH, "mcp-protocol-version": era, "mcp-method": "tools/call", "mcp-name": "usage"}
    answer = await mcp.post(body, given)
    assert answer.status in {400, 413, 415}
    assert mcp.tools.asked == []
    assert len(answer.body) < 2000
    if answer.status == 400:
        assert answer.json["error"]["code"] in {-32700, -32600}
    assert (await mcp.ask("tools/list", era=era)).status == 200


def test_n13_what_is_read_is_what_the_sdk_would_read() -> None:
    body = message("tools/call", {**USAGE, "_meta": {"progressToken": 1}}, message_id="a")
    found = rpc_message.read_message(body)
    assert (found.id, found.method, found.tool, found.wants_progress) == ("a", "tools/call", "usage", True)
    assert rpc_message.read_message(message("ping", era=LEGACY)).tool is None
    assert rpc_message.read_message(b'{"jsonrpc":"2.0","method":"notifications/cancelled"}').id is None


# N14


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("progress", [False, True], ids=["json", "events"])
async def test_n14_a_client_that_leaves_ends_what_was_done_for_it(
    era: str, progress: bool, mcp: MCPHouse
) -> None:
    mcp.tools.hold = asyncio.Event()
    params = {**USAGE, "_meta": {"progressToken": 1}} if progress else USAGE
    body = message("tools/call", params, era=era)
    left = asyncio.Event()
    told = [("host", "127.0.0.1:8000"), ("x-api-key", mcp.house.key), ("content-type", "application/json")]
    headers = [*told, ("content-length", str(len(body))), *headers_of(body, era).items()]
    given = False

    async def receive() -> Message:
        nonlocal given
        if not given:
            given = True
            return {"type": "http.request", "body": body, "more_body": False}
        await left.wait()
        return {"type": "http.disconnect"}

    raw = [(name.encode(), said.encode()) for name, said in headers]
    asking = asyncio.create_task(call(mcp.house.gate, "POST", "/mcp", raw, receive=receive))
    async with asyncio.timeout(20):
        while not mcp.tools.under_way:
            await asyncio.sleep(0)
        left.set()
        await asking
        while mcp.tools.under_way:
            await asyncio.sleep(0.01)


async def test_n4_a_stream_that_listens_ends_with_its_credential(mcp: MCPHouse) -> None:
    created = await mcp.house.keys.create(NewKey("ann", scopes=scopes.CLIENT_DEFAULT))
    body = message("subscriptions/listen", {"notifications": {"toolsListChanged": True}})
    told = [("host", "127.0.0.1:8000"), ("x-api-key", created.text), ("content-type", "application/json")]
    raw = [
        (name.encode(), said.encode())
        for name, said in [*told, ("content-length", str(len(body))), *headers_of(body).items()]
    ]
    sent: list[Message] = []
    begun = asyncio.Event()
    reads = 0

    async def receive() -> Message:
        nonlocal reads
        reads += 1
        if reads > 1:
            await asyncio.get_running_loop().create_future()
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(said: Message) -> None:
        sent.append(said)
        if b"acknowledged" in said.get("body", b""):
            begun.set()

    scope = {"type": "http", "method": "POST", "raw_path": b"/mcp", "path": "/mcp", "query_string": b""}
    listening = asyncio.create_task(
        mcp.house.gate({**scope, "headers": raw, "client": ("127.0.0.1", 1)}, receive, send)
    )
    watching = asyncio.create_task(
        WithdrawEnded(mcp.house.authenticate.admits, [mcp.house.gate.withdraw]).run(every_s=0.005)
    )
    async with asyncio.timeout(20):
        await begun.wait()
        await mcp.house.keys.revoke(created.record.id)
        await asyncio.wait({listening})
    watching.cancel()
    last = sent[-1]["body"].decode()
    assert last.startswith("event: message\n")
    told_last = json.loads(last.partition("data: ")[2])
    assert (told_last["id"], told_last["error"]["data"]["status"]) == (7, 401)


# N15


async def test_n15_no_session_is_begun_and_none_is_known(mcp: MCPHouse) -> None:
    params = {"protocolVersion": LEGACY, "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
    begun = await mcp.ask("initialize", params, era=LEGACY)
    assert begun.status == 200
    assert "mcp-session-id" not in begun.headers
    strayed = await mcp.ask("tools/list", era=LEGACY, headers={"mcp-session-id": "stolen"})
    assert "mcp-session-id" not in strayed.headers
    assert (await mcp.house.ask("DELETE", "/mcp", headers=[("mcp-session-id", "stolen")])).status == 405
    assert (await mcp.house.ask("GET", "/mcp", headers=[("accept", "text/event-stream")])).status == 405


async def test_n15_equal_ids_of_two_clients_at_once_stay_apart(mcp: MCPHouse) -> None:
    both = [
        mcp.ask("tools/list", key=await mcp.house.new_key(f"p{n}", scopes=frozenset({"mcp:connect", scope})))
        for n, scope in enumerate(("usage:read", "documents:validate"))
    ]
    one, other = await asyncio.gather(*both)
    seen = [{tool["name"] for tool in answer.json["result"]["tools"]} for answer in (one, other)]
    assert ["usage" in each for each in seen] == [True, False]
    assert ["validate_document" in each for each in seen] == [False, True]


# N21


@pytest.mark.parametrize(
    "method", ["tools/list", "prompts/list", "resources/list", "resources/templates/list"]
)
async def test_n21_lists_are_for_their_caller_alone(method: str, mcp: MCPHouse) -> None:
    result = (await mcp.ask(method)).json["result"]
    assert result["cacheScope"] == "private"
    assert result["ttlMs"] >= 0


async def test_n21_lists_of_two_callers_differ(mcp: MCPHouse) -> None:
    narrow = await mcp.house.new_key("ann", scopes=frozenset({"mcp:connect", "usage:read"}))
    few = (await mcp.ask("tools/list", key=narrow)).json["result"]["tools"]
    many = (await mcp.ask("tools/list")).json["result"]["tools"]
    assert len(few) < len(many)


# Events


@pytest.mark.parametrize("era", ERAS)
async def test_a_plain_call_is_answered_in_json_and_one_that_asks_for_progress_may_have_events(
    era: str, mcp: MCPHouse
) -> None:
    plain = await mcp.ask("tools/call", USAGE, era=era)
    assert plain.headers["content-type"] == "application/json"
    asking = {**USAGE, "_meta": {"progressToken": "p"}}
    told = await mcp.ask("tools/call", asking, era=era)
    assert told.status == 200
    only = await mcp.ask("tools/call", asking, era=era, headers={"accept": "application/json"})
    assert only.headers["content-type"] == "application/json"
