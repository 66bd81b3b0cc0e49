"""`/mcp` through the real transport and the official client, in both eras, on a loopback server."""

import asyncio
import hashlib
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace

import httpx2 as httpx
import pytest
import uvicorn
from mcp import ClientSession
from mcp.client.client import Client
from mcp.client.streamable_http import streamable_http_client
from tests.mcp.fakes import ANN, Tools
from tests.mcp.samples import RESULTS
from tests.web.fakes import FakeClock

from macroslow.authn.principal import Principal
from macroslow.authz import scopes
from macroslow.errors import MacroslowError, OverloadedError, RateLimitedError
from macroslow.mcp.ask import Ask
from macroslow.mcp.own_tools import OwnTools
from macroslow.services.audit.record_mcp_call import MCPCall
from macroslow.web.mcp.endpoint import NO_NAME, RECEIPTS, MCPEndpoint
from macroslow.web.messages import Message, Receive


class Served:
    """The endpoint on a loopback port, with the principal that the gate would have found."""

    def __init__(self, tools: Tools) -> None:
        self.tools = tools
        self.principal = ANN
        self.clock = FakeClock()
        self.recorded: list[tuple[Principal, MCPCall]] = []
        self.endpoint = MCPEndpoint(
            lambda: (OwnTools(tools.handlers),),  # type: ignore[arg-type]
            self.record,
            self.clock,
            version="1.2.3",
            max_body_bytes=4 * 1024 * 1024,
        )
        self.url = ""

    async def record(self, principal: Principal, call: MCPCall) -> None:
        self.recorded.append((principal, call))

    async def __call__(self, scope, receive, send) -> None:
        if scope["type"] == "http":
            first = await receive()
            while first["more_body"]:
                more = await receive()
                first = {**more, "body": first["body"] + more["body"]}
            scope["state"] = {
                "visit": SimpleNamespace(message_id=None),
                "principal": self.principal,
                "request_id": "r1",
                "body": first["body"],
            }
            await self._answer(scope, _then(first, receive), send)

    async def _answer(self, scope, receive, send) -> None:
        try:
            await self.endpoint(scope, receive, send)
        except MacroslowError as error:  # about as the gate answers it
            limited = isinstance(error, RateLimitedError)
            wait = f"{error.retry_after_s:g}".encode() if limited else b""
            told = {"jsonrpc": "2.0", "id": None, "error": {"code": -32600, "message": error.detail}}
            headers = [(b"content-type", b"application/json"), (b"retry-after", wait)]
            status = 429 if limited else 400
            await send({"type": "http.response.start", "status": status, "headers": headers})
            await send({"type": "http.response.body", "body": json.dumps(told).encode()})

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
        config = uvicorn.Config(self, lifespan="off", log_level="critical", ws="none")
        server = uvicorn.Server(config)
        server.capture_signals = _no_signals  # type: ignore[method-assign]
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}/mcp"
        try:
            yield
        finally:
            await self.endpoint.close()
            server.should_exit = True
            server.force_exit = True
            await serving
            listener.close()


def _then(first: Message, receive: Receive) -> Receive:
    left = [first]

    async def given() -> Message:
        return left.pop() if left else await receive()

    return given


class _no_signals:  # noqa: N801 (a context manager in use)
    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...


@pytest.fixture
def tools() -> Tools:
    return Tools()


@pytest.fixture
async def served(tools: Tools) -> AsyncIterator[Served]:
    made = Served(tools)
    async with made.listening():
        yield made


@asynccontextmanager
async def old_era(served: Served) -> AsyncIterator[ClientSession]:
    """A client of the handshake versions of the protocol."""
    async with (
        streamable_http_client(served.url) as streams,
        ClientSession(streams[0], streams[1]) as session,
    ):
        await session.initialize()
        yield session


@asynccontextmanager
async def new_era(served: Served) -> AsyncIterator[Client]:
    async with Client(served.url) as client:
        yield client


ERAS = pytest.mark.parametrize("era", [old_era, new_era], ids=["handshake", "2026-07-28"])
CALL = b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":%s}'


async def post(served: Served, body: bytes, **headers: str) -> httpx.Response:
    sent = {"content-type": "application/json", "accept": "application/json, text/event-stream", **headers}
    async with httpx.AsyncClient() as client:
        return await client.post(served.url, content=body, headers=sent, timeout=10)


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"null", b"1", b"\xff", b"[" * 100_000, b'{"jsonrpc": "2.0"}',
     b'{"jsonrpc":"2.0","id":1}',
     CALL % rb'{"name":"run_document","arguments":{"document":"\ud800"}}',
     CALL % b"[]"],
    ids=lambda body: repr(body[:24]),
)  # fmt: skip
async def test_hostile_bodies_are_answered_and_the_endpoint_goes_on(served: Served, body: bytes) -> None:
    answer = await post(served, body)
    assert 200 <= answer.status_code < 500
    async with new_era(served) as client:
        assert not (await client.call_tool("usage", {})).is_error


async def step(ask: Ask) -> dict[str, object]:
    """Work that tells how far it is, to whoever wants to know."""
    if ask.tell is not None:
        await ask.tell(1, 2, "half")
        await ask.tell(2, 2, "whole")
    return RESULTS["run_document"]


@ERAS
async def test_progress_leaves_while_the_work_goes_on(era) -> None:
    told: list[tuple[float, float | None, str | None]] = []

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        told.append((progress, total, message))

    tools = Tools()
    tools.replaced["run_document"] = step
    served = Served(tools)
    async with served.listening(), era(served) as client:
        arguments = {"document": "x"}
        quiet = await client.call_tool("run_document", arguments)
        heard = await client.call_tool("run_document", arguments, progress_callback=hear)
    assert quiet.structured_content == heard.structured_content == RESULTS["run_document"]
    assert told == [(1, 2, "half"), (2, 2, "whole")]


# The endpoint's own life.


async def test_a_failed_first_use_is_tried_again(tools: Tools, monkeypatch: pytest.MonkeyPatch) -> None:
    made = Served(tools)
    build = made.endpoint._build
    failures = iter([ImportError("half an installation"), MemoryError()])

    def shaky() -> object:
        for failure in failures:
            raise failure
        return build()

    monkeypatch.setattr(made.endpoint, "_build", shaky)
    async with made.listening():
        for _ in range(2):
            assert (await post(made, b"{}")).status_code == 500
        async with new_era(made) as client:
            assert not (await client.call_tool("usage", {})).is_error


async def test_first_requests_that_come_together_share_one_start(tools: Tools, monkeypatch) -> None:
    made = Served(tools)
    build, built = made.endpoint._build, []
    monkeypatch.setattr(made.endpoint, "_build", lambda: built.append(1) or build())
    async with made.listening():
        answers = await asyncio.gather(*(post(made, b"{}") for _ in range(8)))
    assert {answer.status_code for answer in answers} == {400}
    assert len(built) == 1


async def test_closing_while_busy_does_not_hang_and_leaves_nothing_running(tools: Tools) -> None:
    tools.hold = asyncio.Event()
    made = Served(tools)
    async with made.listening():
        calling = asyncio.create_task(_call(made))
        while not tools.under_way:
            await asyncio.sleep(0.005)
        await asyncio.wait_for(made.endpoint.close(), 5)
        tools.hold.set()
        await asyncio.wait({calling}, timeout=5)
        assert calling.done()
        assert tools.under_way == 0
        calling.exception()  # what its client makes of a server that ends does not matter here


async def _call(served: Served) -> None:
    async with new_era(served) as client:
        await client.call_tool("usage", {})


async def test_closing_what_never_began_and_asking_what_is_closed(tools: Tools) -> None:
    made = Served(tools)
    await made.endpoint.close()
    await made.endpoint.close()
    scope = {"type": "http", "method": "GET", "headers": [], "state": {}}
    with pytest.raises(OverloadedError):
        await made.endpoint(scope, None, None)  # type: ignore[arg-type]


# Receipts


ASKED = {"x-macroslow-receipt": "true", "accept": "application/json, text/event-stream"}
CALL = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "usage", "arguments": {}}}


async def posted(served: Served, body: bytes, **headers: str) -> httpx.Response:
    async with httpx.AsyncClient() as client:
        given = {"content-type": "application/json", "mcp-protocol-version": "2025-11-25", **headers}
        return await client.post(served.url, content=body, headers=given)


async def test_a_call_that_asks_is_recorded_by_the_digests_of_its_exact_bytes(served: Served) -> None:
    body = b" " + json.dumps(CALL, indent=2).encode()
    answer = await posted(served, body, **ASKED)
    assert (answer.status_code, answer.headers["x-macroslow-receipt"]) == (200, "/receipts/r1")
    assert served.recorded == [
        (
            ANN,
            MCPCall(
                "r1",
                "tools/call",
                "usage",
                hashlib.sha256(body).hexdigest(),
                hashlib.sha256(answer.content).hexdigest(),
                200,
            ),
        )
    ]


async def test_a_call_that_does_not_ask_is_not_recorded(served: Served) -> None:
    answer = await posted(served, json.dumps(CALL).encode(), accept=ASKED["accept"])
    assert answer.status_code == 200
    assert "x-macroslow-receipt" not in answer.headers
    assert served.recorded == []


@pytest.mark.parametrize(
    "body",
    [
        b'{"jsonrpc":"2.0","id":1,"method":"ping"}',
        b'{"jsonrpc":"2.0","id":1,"method":"tools/list"}',
        b'{"jsonrpc":"2.0","method":"notifications/initialized"}',
        b'{"jsonrpc":"2.0","id":1,"method":"' + b"x" * 5000 + b'"}',
        b'{"jsonrpc":"2.0","id":1,"method":7}',
        b'[{"method":"tools/call"}]',
        b"not JSON",
        b'{"method":"\\ud800"}',
        b"[" * 100_000,
    ],
    ids=range(9),
)
async def test_what_calls_no_tool_is_answered_as_if_no_receipt_was_asked_for(
    body: bytes, served: Served
) -> None:
    answer = await posted(served, body, **ASKED)
    plain = await posted(served, body, accept=ASKED["accept"])
    assert (answer.status_code, answer.content) == (plain.status_code, plain.content)
    assert "x-macroslow-receipt" not in answer.headers
    assert served.recorded == []


FORGED = "usage\n   999  2026-01-01 00:00:00  key-created        principal=root"


@pytest.mark.parametrize(
    ("name", "tool"),
    [
        ("no-such-tool", "no-such-tool"),
        ("x" * 100, "x" * 100),
        ("x" * 101, NO_NAME),
        ("", NO_NAME),
        (FORGED, NO_NAME),
        ("usage\n", NO_NAME),
        ("us age", NO_NAME),
        ("\u202eegasu", NO_NAME),
        ("\x1b[2Jusage", NO_NAME),
        ("\u0443sage", NO_NAME),
        (7, ""),
        (None, ""),
    ],
    ids=range(12),
)
async def test_a_tool_is_named_in_the_log_by_a_name_or_not_at_all(
    name: object, tool: str, served: Served
) -> None:
    body = json.dumps({**CALL, "params": {"name": name}}).encode()
    answer = await posted(served, body, **ASKED)
    [(principal, call)] = served.recorded
    assert (principal, call.method, call.tool, call.status) == (ANN, "tools/call", tool, answer.status_code)
    assert call.request_sha256 == hashlib.sha256(body).hexdigest()
    assert call.answer_sha256 == hashlib.sha256(answer.content).hexdigest()


async def test_calls_with_receipts_have_a_rate_of_their_own_for_each_principal(served: Served) -> None:
    body = json.dumps({**CALL, "params": {"name": "no-such-tool"}}).encode()  # costs nothing
    for _ in range(RECEIPTS.count):
        assert (await posted(served, body, **ASKED)).status_code == 200
    refused = await posted(served, body, **ASKED)
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
    assert "ann may have 60 receipts over MCP in 60 s" in refused.text
    assert len(served.recorded) == RECEIPTS.count
    assert (await posted(served, body, accept=ASKED["accept"])).status_code == 200
    served.principal = Principal("bob", "key/bob", "bob0", scopes=scopes.CLIENT_DEFAULT)
    assert (await posted(served, body, **ASKED)).status_code == 200
    served.clock.pass_s(1)
    served.principal = ANN
    assert (await posted(served, body, **ASKED)).status_code == 200


async def test_the_official_client_may_ask_for_receipts_of_all_it_does(served: Served) -> None:
    async with (
        httpx.AsyncClient(headers={"x-macroslow-receipt": "true"}) as http,
        streamable_http_client(served.url, http_client=http) as streams,
        ClientSession(streams[0], streams[1]) as session,
    ):
        await session.initialize()
        await session.call_tool("usage", {})
    assert [(call.method, call.tool) for _, call in served.recorded] == [("tools/call", "usage")]
