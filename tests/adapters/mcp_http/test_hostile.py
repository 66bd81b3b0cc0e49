"""N24 and worse: servers that lie, flood, hang, break off and ask. Each is a real one on the loopback."""

import asyncio
import gzip

import orjson
import pytest
from tests.adapters.mcp_http.hostile import (
    DONE,
    HELLO,
    STREAM,
    TOOL,
    behaving,
    chunk,
    event,
    json_answer,
    met,
    result,
)
from tests.outbound.raw import Peer, serving

from macroslow.adapters.mcp_http import Endpoint, MCPOverHTTP
from macroslow.errors import (
    ConfigurationError,
    TooLargeError,
    UpstreamError,
    UpstreamRefusedError,
    UpstreamUnavailableError,
)
from macroslow.secretstore.secret import Secret

MIB = 1 << 20


async def call(server: MCPOverHTTP, timeout_s: float = 20):
    return await server.call_tool("x", {}, timeout_s=timeout_s)


async def test_a_server_that_behaves_is_heard() -> None:
    async def act(peer: Peer, number: int) -> None:
        await peer.say(json_answer(result(number, DONE)))

    async with met(act) as (server, _):
        assert (await call(server))["content"] == DONE["content"]


ANSWERS = {
    "another id": lambda n: json_answer(result(n + 1, DONE)),
    "an id that is a text": lambda n: json_answer({**result(n, DONE), "id": str(n)}),
    "an id that is true": lambda _: json_answer({**result(1, DONE), "id": True}),
    "no id": lambda _: json_answer({"jsonrpc": "2.0", "result": DONE}),
    "another JSON-RPC": lambda n: json_answer({"id": n, "result": DONE}),
    "a batch": lambda n: json_answer([result(n, DONE)]),
    "a result that is a list": lambda n: json_answer(result(n, [])),
    "nothing": lambda _: json_answer(b""),
    "garbage": lambda _: json_answer(b"\x00\xff{"),
    "not a number": lambda n: json_answer(b'{"jsonrpc":"2.0","id":%d,"result":{"a":NaN}}' % n),
    "no UTF-8": lambda n: json_answer(b'{"jsonrpc":"2.0","id":%d,"result":{"a":"\xff"}}' % n),
    "nested very deeply": lambda n: json_answer(
        b'{"jsonrpc":"2.0","id":%d,"result":{"a":%b}}' % (n, b"[" * 100_000 + b"]" * 100_000)
    ),
    "compressed": lambda n: json_answer(
        gzip.compress(orjson.dumps(result(n, DONE))), b"Content-Encoding: gzip"
    ),
    "a bomb": lambda _: json_answer(gzip.compress(bytes(50 * MIB)), b"Content-Encoding: gzip"),
    "a request of its own": lambda n: json_answer(
        {"jsonrpc": "2.0", "id": n, "method": "sampling/createMessage", "params": {}}
    ),
    "status 500": lambda _: json_answer(b"", status=b"500 Oops"),
    "status 204": lambda _: b"HTTP/1.1 204 No Content\r\n\r\n",
    "another protocol": lambda _: b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
    "no HTTP": lambda _: b"hello\r\n\r\n",
    "half an event": lambda n: STREAM + chunk(b"data: " + orjson.dumps(result(n, DONE))) + b"0\r\n\r\n",
    "a stream without an answer": lambda _: STREAM + chunk(b": nothing\n\n") + b"0\r\n\r\n",
    "a stream with another's answer": lambda n: STREAM + event(result(n + 1, DONE)) + b"0\r\n\r\n",
    "a stream with a request": lambda n: (
        STREAM
        + event({"jsonrpc": "2.0", "id": 1, "method": "elicitation/create", "params": {}})
        + event(result(n, DONE))
    ),
}


@pytest.mark.parametrize("kind", ANSWERS)
async def test_an_answer_that_is_none_is_refused_and_the_next_call_goes_on(kind: str) -> None:
    good = asyncio.Event()

    async def act(peer: Peer, number: int) -> None:
        await peer.say(json_answer(result(number, DONE)) if good.is_set() else ANSWERS[kind](number))

    async with met(act) as (server, _):
        with pytest.raises(UpstreamUnavailableError):
            await call(server)
        good.set()
        assert (await call(server))["content"] == DONE["content"]


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_n24_redirects_are_not_followed(status: int) -> None:
    trap_hit = asyncio.Event()

    async def trap(peer: Peer) -> None:
        trap_hit.set()

    async with serving(trap) as elsewhere:

        async def act(peer: Peer, number: int) -> None:
            where = b"Location: http://127.0.0.1:%d/mcp" % elsewhere.port
            await peer.say(json_answer(b"", where, status=b"%d Elsewhere" % status))

        async with met(act) as (server, _):
            with pytest.raises(UpstreamRefusedError, match="redirect"):
                await call(server)
    assert not trap_hit.is_set()


@pytest.mark.parametrize("status", [401, 403])
async def test_n24_n25_metadata_that_a_server_names_is_never_fetched(status: int) -> None:
    trap_hit = asyncio.Event()

    async def trap(peer: Peer) -> None:
        trap_hit.set()

    async with serving(trap) as elsewhere:

        async def act(peer: Peer, number: int) -> None:
            told = b'WWW-Authenticate: Bearer resource_metadata="http://127.0.0.1:%d/x"' % elsewhere.port
            await peer.say(json_answer(b"", told, status=b"%d No" % status))

        async with met(act) as (server, _):
            with pytest.raises(UpstreamRefusedError, match="credentials") as refused:
                await call(server)
            assert "OAuth is not spoken" in refused.value.fix
    assert not trap_hit.is_set()


async def test_a_server_that_never_answers_is_given_up() -> None:
    async def act(peer: Peer, number: int) -> None:
        await peer.until_gone()

    async with met(act) as (server, there):
        with pytest.raises(UpstreamUnavailableError, match="did not answer in time"):
            await call(server, timeout_s=0.2)
        await there.all_gone()


async def test_a_stream_that_never_ends_is_given_up() -> None:
    async def act(peer: Peer, number: int) -> None:
        await peer.say(STREAM)
        while True:
            await peer.say(chunk(b": still here\n\n"))
            await asyncio.sleep(0.01)

    async with met(act) as (server, there):
        with pytest.raises(UpstreamUnavailableError, match="did not answer in time"):
            await call(server, timeout_s=0.3)
        await there.all_gone()


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_body_of_100_mb_is_cut_off_early(streamed: bool) -> None:
    sent = 0

    async def act(peer: Peer, number: int) -> None:
        nonlocal sent
        head = STREAM if streamed else b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (100 * MIB)
        await peer.say(head)
        for _ in range(100):
            piece = b"x" * MIB
            await peer.say(chunk(piece) if streamed else piece)
            sent += 1

    async with met(act, max_result_bytes=MIB) as (server, there):
        with pytest.raises(TooLargeError):
            await call(server)
        await there.all_gone()
    assert sent < 50


async def test_a_connection_that_breaks_off_mid_body_is_said_so_and_the_call_is_not_repeated() -> None:
    calls = 0

    async def act(peer: Peer, number: int) -> None:
        nonlocal calls
        calls += 1
        await peer.say(b'HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{"jsonrpc":')
        peer.writer.close()

    async with met(act) as (server, _):
        with pytest.raises(UpstreamUnavailableError, match="gave no answer"):
            await call(server)
    assert calls == 1


async def test_n14_a_caller_who_leaves_ends_the_request() -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def act(peer: Peer, number: int) -> None:
        begun.set()
        await peer.until_gone()
        ended.set()

    async with met(act) as (server, _):
        task = asyncio.create_task(call(server))
        await begun.wait()
        task.cancel()
        await asyncio.wait([task])
        await asyncio.wait_for(ended.wait(), 10)


async def test_two_calls_at_once_get_their_own_answers() -> None:
    gate = asyncio.Event()
    waiting = 0

    async def act(peer: Peer, number: int) -> None:
        nonlocal waiting
        waiting += 1
        if waiting == 2:
            gate.set()
        await gate.wait()
        await peer.say(json_answer(result(number, {"content": [], "number": number})))

    async with met(act) as (server, _):
        one, other = await asyncio.gather(call(server), call(server))
    assert one["number"] != other["number"]


async def test_a_demand_for_further_input_is_refused() -> None:
    async def act(peer: Peer, number: int) -> None:
        await peer.say(json_answer(result(number, {"resultType": "input_required", "inputRequests": {}})))

    async with met(act) as (server, _):
        with pytest.raises(UpstreamRefusedError, match="further input"):
            await call(server)


async def _discovered(hello: object, tools: object):
    async def act(peer: Peer, number: int) -> None:
        raise AssertionError

    async with serving(behaving(act, hello, tools)) as there:
        server = MCPOverHTTP(
            "bad", Endpoint("bad", f"http://127.0.0.1:{there.port}/", {}), max_result_bytes=MIB
        )
        try:
            return await server.discover()
        finally:
            await server.close()


@pytest.mark.parametrize(
    "tools",
    [
        "x",
        [1],
        None,
        [{"name": f"t{n}"} for n in range(2001)],
        [{"name": "x", "description": "y" * (8 * MIB)}],
    ],
    ids=["text", "number", "none", "many", "large"],
)
async def test_lists_that_are_none_or_too_long_are_refused(tools: object) -> None:
    with pytest.raises((UpstreamError, TooLargeError)):
        await _discovered(HELLO, tools)


async def test_pages_without_end_are_refused() -> None:
    async def talk(peer: Peer) -> None:
        page = 0
        while True:
            asked = orjson.loads(await peer.request())
            page += 1
            told = {"tools": [], "nextCursor": str(page)}
            await peer.say(json_answer(result(asked["id"], HELLO if page == 1 else told)))

    async with serving(talk) as there:
        server = MCPOverHTTP(
            "bad", Endpoint("bad", f"http://127.0.0.1:{there.port}/", {}), max_result_bytes=MIB
        )
        with pytest.raises(UpstreamUnavailableError, match="pages"):
            await server.discover()
        await server.close()


@pytest.mark.parametrize("name", [["a"], 5, None, "x" * 100_000])
async def test_a_strange_identity_is_taken_as_far_as_it_goes(name: object) -> None:
    meta = {"io.modelcontextprotocol/serverInfo": {"name": name, "version": {}}}
    found = await _discovered({**HELLO, "_meta": meta}, [TOOL])
    assert len(found.identity.name) <= 200
    assert found.identity.version == ""


@pytest.mark.parametrize(
    "url", ["ftp://x/", "http://", "http://a@b/", "http://x/#y", "http://x/a b", "http://x:0/", "http://[::1"]
)
def test_a_place_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError):
        Endpoint("bad", url, {})


@pytest.mark.parametrize("value", ["a\r\nx: y", "a\x00", "\u00e4"])
def test_a_credential_that_could_begin_another_header_is_refused_and_not_quoted(value: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        Endpoint("bad", "http://x/", {"authorization": Secret(f"canary{value}")})
    assert "canary" not in str(refused.value) + refused.value.fix


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.0.0.1", "172.16.0.1", "192.168.0.1", "169.254.169.254", "100.64.0.1", "0.0.0.0",
        "224.0.0.1", "240.0.0.1", "::1", "fe80::1", "fc00::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1",
        "2002:7f00:1::", "::",
    ],
)  # fmt: skip
async def test_n24_a_name_that_leads_to_an_address_that_is_not_public_is_not_connected_to(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def looked_up(host: str, port: int) -> list[str]:
        return [address]

    monkeypatch.setattr("macroslow.outbound.dialling._look_up", looked_up)
    server = MCPOverHTTP("bad", Endpoint("bad", "http://mcp.example/", {}), max_result_bytes=MIB)
    with pytest.raises(UpstreamUnavailableError, match="no address that may be connected to"):
        await server.discover()
    await server.close()


async def test_n24_an_address_that_the_operator_meant_is_connected_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def act(peer: Peer, number: int) -> None:
        raise AssertionError

    async with serving(behaving(act)) as there:

        async def looked_up(host: str, port: int) -> list[str]:
            return ["127.0.0.1"]

        monkeypatch.setattr("macroslow.outbound.dialling._look_up", looked_up)
        for host, private in (("127.0.0.1", False), ("localhost", False), ("mcp.example", True)):
            endpoint = Endpoint("s", f"http://{host}:{there.port}/", {}, private_network=private)
            server = MCPOverHTTP("s", endpoint, max_result_bytes=MIB)
            assert (await server.discover()).identity.name == "hostile"
            await server.close()


@pytest.mark.parametrize("kind", ["tools", "prompts", "resources"])
async def test_a_server_that_tells_of_changes_is_heard(kind: str) -> None:
    async def act(peer: Peer, number: int) -> None:
        told = {"jsonrpc": "2.0", "method": f"notifications/{kind}/list_changed", "params": {}}
        acknowledged = {"jsonrpc": "2.0", "method": "notifications/subscriptions/acknowledged", "params": {}}
        await peer.say(STREAM + event(acknowledged) + event(told))
        await peer.until_gone()

    hello = {**HELLO, "capabilities": {"tools": {"listChanged": True}}}
    async with serving(behaving(act, hello)) as there:
        server = MCPOverHTTP("s", Endpoint("s", f"http://127.0.0.1:{there.port}/", {}), max_result_bytes=MIB)
        await server.discover()
        await asyncio.wait_for(server.changed(), 20)
        await server.close()


async def test_changes_without_end_are_one_change() -> None:
    async def act(peer: Peer, number: int) -> None:
        await peer.say(STREAM)
        while True:
            await peer.say(chunk(b"data: 1\n\n" * 1000))

    hello = {**HELLO, "capabilities": {"tools": {"listChanged": True}}}
    async with serving(behaving(act, hello)) as there:
        server = MCPOverHTTP("s", Endpoint("s", f"http://127.0.0.1:{there.port}/", {}), max_result_bytes=MIB)
        await server.discover()
        await asyncio.wait_for(server.changed(), 20)
        await there.all_gone()
        await server.close()


async def test_arguments_that_a_tool_wants_in_headers_are_there_and_cannot_begin_another() -> None:
    heads: list[bytes] = []
    properties = {
        "region": {"type": "string", "x-mcp-header": "Region"},
        "deep": {"type": "object", "properties": {"n": {"type": "integer", "x-mcp-header": "N"}}},
        "bad": {"type": "string", "x-mcp-header": "a\r\nb"},
    }
    tool = {"name": "x", "inputSchema": {"type": "object", "properties": properties}}

    async def talk(peer: Peer) -> None:
        while True:
            head = await peer.reader.readuntil(b"\r\n\r\n")
            lines = head.lower().split(b"\r\n")
            length = next(int(line[15:]) for line in lines if line.startswith(b"content-length:"))
            asked = orjson.loads(await peer.reader.readexactly(length))
            heads.append(head)
            told = {"server/discover": HELLO, "tools/list": {"tools": [tool]}}.get(asked["method"], DONE)
            await peer.say(json_answer(result(asked["id"], told)))

    async with serving(talk) as there:
        server = MCPOverHTTP("s", Endpoint("s", f"http://127.0.0.1:{there.port}/", {}), max_result_bytes=MIB)
        await server.discover()
        arguments = {"region": "eu\r\nx-evil: 1", "deep": {"n": 7}, "bad": "y"}
        await server.call_tool("x", arguments, timeout_s=20)
        await server.close()
    sent = heads[-1].lower()
    assert b"mcp-param-region: =?base64?zxuncngtzxzpbdogmq==?=" in sent
    assert b"mcp-param-n: 7" in sent
    assert b"\r\nx-evil" not in sent
