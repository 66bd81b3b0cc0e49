"""A run's way out, on a real socket: only what the run was granted, whoever asks however often."""

import asyncio
import hashlib
import json
import socket
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace

import pytest
from tests.web.fakes import FakeClock, SystemEntropy, call

from macroslow.errors import BudgetExhaustedError, MissingRightError, UpstreamUnavailableError
from macroslow.inference.dialect import Dialect
from macroslow.inference.operation import Operation
from macroslow.limits.byte_budget import ByteBudget
from macroslow.metering.ledger import Usage
from macroslow.services.calls.settle_call import ModelAnswer, ModelStream
from macroslow.services.documents.run_egress import RunEgress
from macroslow.web import egress, serve
from macroslow.web.egress import RATE, EgressApp, egress_opener
from macroslow.web.routes import CHAT_BYTES
from macroslow.workflow.outside import OutsideAnswer

CAPABILITY = "msr_0123456789abcdef"
BEARER = (b"authorization", b"Bearer " + CAPABILITY.encode())
JSON = (b"content-type", b"application/json")
CHAT = "/v1/chat/completions"


class Behind:
    """The use cases of one run."""

    def __init__(self) -> None:
        self.chats: list[bytes] = []
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.calls: list[tuple[str, str]] = []
        self.answer: ModelAnswer | ModelStream | Exception = ModelAnswer(
            200, {"content-type": "application/json"}, b'{"choices":[]}', Usage(1, 1, 1), 0
        )

    async def ask(
        self, operation: Operation, body: bytes, headers: Mapping[str, str]
    ) -> ModelAnswer | ModelStream:
        self.chats.append(body)
        self.asked.append((operation.name, dict(headers)))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    async def weather(self, path: str, query: str) -> OutsideAnswer:
        self.calls.append((path, query))
        return OutsideAnswer(200, "application/json", b'{"temp": 3}')

    def run(self) -> RunEgress:
        digest = hashlib.sha256(CAPABILITY.encode()).digest()
        return RunEgress(digest, b"/api/", self.ask, {"weather": self.weather})


@pytest.fixture
def behind() -> Behind:
    return Behind()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def app_for(run: RunEgress, clock: FakeClock) -> EgressApp:
    names = {Dialect.OPENAI: "gpt-5", Dialect.ANTHROPIC: "claude-opus-4-8"}
    return EgressApp(
        run, lambda dialect: {"data": [{"id": names[dialect]}]}, clock, SystemEntropy(), ByteBudget(1_000_000)
    )


@pytest.fixture
def app(behind: Behind, clock: FakeClock) -> EgressApp:
    return app_for(behind.run(), clock)


async def test_a_model_call_with_the_capability_reaches_the_use_case(app: EgressApp, behind: Behind) -> None:
    headers = [BEARER, JSON, (b"content-length", b"2")]
    answer = await call(app, "POST", CHAT, headers, b"{}")
    assert (answer.status, answer.json, behind.chats) == (200, {"choices": []}, [b"{}"])
    models = await call(app, "GET", "/v1/models", [BEARER])
    assert models.json["data"] == [{"id": "gpt-5"}]


async def test_who_speaks_anthropics_api_gets_its_list_and_its_errors(app: EgressApp) -> None:
    version, key = (b"anthropic-version", b"2023-06-01"), (b"x-api-key", CAPABILITY.encode())
    assert (await call(app, "GET", "/v1/models", [version, key])).json["data"] == [{"id": "claude-opus-4-8"}]
    for method, path, headers, status, kind in (
        ("GET", "/v1/models", [version], 401, "authentication_error"),
        ("POST", "/v1/models", [version, key], 405, "invalid_request_error"),
        ("GET", "/v1/nope", [version, key], 404, "not_found_error"),
    ):
        refused = await call(app, method, path, headers)
        assert (refused.status, refused.json["type"]) == (status, "error")
        assert refused.json["error"]["type"] == kind


@pytest.mark.parametrize(
    "credential",
    [
        b"",
        b"Bearer",
        b"Bearer ",
        b"Bearer wrong",
        b"Basic " + CAPABILITY.encode(),
        CAPABILITY.encode(),
        b"Bearer " + CAPABILITY.encode() + b"x",
        b"Bearer " + hashlib.sha256(CAPABILITY.encode()).hexdigest().encode(),
        b"Bearer \xff",
    ],
)
async def test_without_the_capability_models_and_apis_are_refused_alike(
    credential: bytes, app: EgressApp, behind: Behind
) -> None:
    for method, path in (("POST", CHAT), ("GET", "/v1/models"), ("GET", "/api/weather/now")):
        answer = await call(app, method, path, [(b"authorization", credential), JSON])
        assert answer.status == 401
        assert answer.json["error"]["type"] == "authentication_error"
        assert answer.body_reads == 0
    assert not behind.chats
    assert not behind.calls


async def test_no_credential_at_all_calls_no_model(app: EgressApp, behind: Behind) -> None:
    assert (await call(app, "POST", CHAT, [JSON])).status == 401
    assert not behind.chats


async def test_a_granted_api_is_a_plain_address(app: EgressApp, behind: Behind) -> None:
    answer = await call(app, "GET", "/api/weather/data/2.5?q=Oslo&x=%2F", [])
    assert (answer.status, answer.json) == (200, {"temp": 3})
    assert (await call(app, "GET", "/api/weather", [])).status == 200
    assert behind.calls == [("/data/2.5", "q=Oslo&x=%2F"), ("", "")]


async def test_what_was_not_granted_names_the_line_to_write(app: EgressApp, behind: Behind) -> None:
    behind.answer = MissingRightError("no", uri="api://openai", fix="add api://openai to permissions.execute")
    for method, path, uri in (
        ("POST", CHAT, "api://openai"),
        ("GET", "/api/other/x", "api://other"),
        ("GET", "/api/", "api://"),
    ):
        answer = await call(app, method, path, [BEARER, JSON])
        assert answer.status == 403
        assert f"add {uri} to permissions.execute" in answer.json["error"]["message"]


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/v1/chat/completions", "chat.completions"),
        ("/v1/responses", "responses"),
        ("/v1/embeddings", "embeddings"),
        ("/v1/messages", "messages"),
    ],
)
async def test_every_operation_of_the_gateway_is_there_for_a_run(path, name, app: EgressApp, behind: Behind):
    key = (b"x-api-key", CAPABILITY.encode())  # as Anthropic's SDKs send it
    passed = (b"anthropic-version", b"2023-06-01")
    assert (await call(app, "POST", path, [key, JSON, passed], b"{}")).status == 200
    expected = {"anthropic-version": "2023-06-01"} if name == "messages" else {}
    assert behind.asked == [(name, expected)]


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/v1",
        "/v1/files",
        "/v1/chat/completions/",
        "/v1/%63hat/completions",
        "/execute",
        "/health/live",
        "/metrics",
        "/mcp",
        "//api/weather",
        "/v1/../api/weather",
        "/v1/models/x",
        "*",
    ],
)
async def test_nothing_else_exists(path: str, app: EgressApp) -> None:
    assert (await call(app, "GET", path, [BEARER])).status == 404


async def test_only_the_methods_that_are_needed(app: EgressApp, behind: Behind) -> None:
    for method, path in (
        ("GET", CHAT),
        ("POST", "/v1/models"),
        ("POST", "/api/weather/x"),
        ("DELETE", "/api/weather"),
    ):
        answer = await call(app, method, path, [BEARER])
        assert answer.status == 405
    assert not behind.calls


async def test_an_api_is_found_by_those_alone_who_were_told_where(behind: Behind, clock: FakeClock) -> None:
    prefix = b"/api/0123456789abcdef0123456789abcdef/"
    app = app_for(replace(behind.run(), api_prefix=prefix), clock)
    path = prefix.decode() + "weather"
    for guess in ("/api/weather", "/api//weather", path.replace("f/", "e/"), path[1:], prefix.decode()[:-1]):
        assert (await call(app, "GET", guess, [BEARER])).status == 404
    assert not behind.calls
    assert (await call(app, "GET", path, [])).status == 200


async def test_a_refusal_for_the_rate_takes_its_time(app: EgressApp, monkeypatch: pytest.MonkeyPatch) -> None:
    waited_s: list[float] = []

    async def wait(delay_s: float) -> None:
        waited_s.append(delay_s)

    monkeypatch.setattr(egress.asyncio, "sleep", wait)
    for _ in range(RATE.burst):
        await call(app, "GET", "/nope", [])
    assert not waited_s
    assert (await call(app, "GET", "/nope", [])).status == 429
    assert waited_s == [egress.REFUSAL_S]


async def test_bodies_that_one_run_holds_up_keep_no_other_from_its_calls(clock: FakeClock) -> None:
    opener = egress_opener(lambda _: {}, clock, SystemEntropy())
    hostile, other = Behind(), Behind()
    first, second = socket.create_server(("127.0.0.1", 0)), socket.create_server(("127.0.0.1", 0))
    head = (
        f"POST {CHAT} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {CAPABILITY}\r\ncontent-length: ".encode()
    )
    async with opener(hostile.run())(first), opener(other.run())(second), asyncio.timeout(10):
        held = []
        for _ in range(12):
            reader, writer = await asyncio.open_connection(*first.getsockname())
            writer.write(head + b"%d\r\n\r\n{" % CHAT_BYTES)
            held.append(writer)
        assert b" 503 " in await reader.readline()  # it has no room left, and only it
        reader, writer = await asyncio.open_connection(*second.getsockname())
        writer.write(head + b"2\r\n\r\n{}")
        assert b" 200 " in await reader.readline()
        for one in [*held, writer]:
            one.close()


async def test_refused_requests_count_too(app: EgressApp, behind: Behind, clock: FakeClock) -> None:
    statuses = [(await call(app, "GET", "/nope", [])).status for _ in range(RATE.burst)]
    assert set(statuses) == {404}
    limited = await call(app, "POST", CHAT, [BEARER, JSON])
    assert limited.status == 429
    assert limited.headers["retry-after"] == "1"
    assert not behind.chats
    clock.pass_s(1)
    assert (await call(app, "GET", "/api/weather", [])).status == 200


async def test_errors_of_the_use_case_have_the_providers_shape(app: EgressApp, behind: Behind) -> None:
    headers = [BEARER, JSON, (b"content-length", b"2")]
    behind.answer = BudgetExhaustedError(
        "no room",
        budget="run/1",
        limit_usd_micros=1,
        spent_usd_micros=1,
        held_usd_micros=0,
        needed_usd_micros=1,
    )
    assert (await call(app, "POST", CHAT, headers, b"{}")).status == 402
    behind.answer = UpstreamUnavailableError("gone", upstream="openai", reason="sk-canary")
    answer = await call(app, "POST", CHAT, headers, b"{}")
    assert answer.status == 502
    behind.answer = RuntimeError("sk-canary")
    broken = await call(app, "POST", CHAT, headers, b"{}")
    assert broken.status == 500
    assert b"canary" not in answer.body + broken.body


async def test_bodies_are_capped(app: EgressApp, behind: Behind) -> None:
    over = [BEARER, JSON, (b"content-length", b"99999999")]
    assert (await call(app, "POST", CHAT, over, b"x")).status == 413
    assert (await call(app, "POST", CHAT, [BEARER, (b"content-length", b"2000000")], b"x")).status == 503
    assert (await call(app, "GET", "/api/weather", [(b"content-length", b"2")], b"{}")).status == 413
    assert not behind.chats


async def test_it_is_served_on_a_passed_socket_and_ends_at_once(behind: Behind, clock: FakeClock) -> None:
    closed = asyncio.Event()

    async def chunks() -> AsyncIterator[bytes]:
        try:
            yield b"data: 1\n\n"
            await asyncio.get_running_loop().create_future()
        finally:
            closed.set()

    behind.answer = ModelStream({"content-type": "text/event-stream"}, chunks())  # type: ignore[arg-type]
    serve_egress = egress_opener(lambda _: {}, clock, SystemEntropy())(behind.run())
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    async with serve_egress(listener):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        head = f"POST {CHAT} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {CAPABILITY}\r\n"
        writer.write(head.encode() + b"content-length: 2\r\n\r\n{}")
        async with asyncio.timeout(5):
            await reader.readuntil(b"data: 1\n\n")
    assert closed.is_set()
    writer.close()
    with pytest.raises(OSError, match=r"refused|Connect"):
        await asyncio.open_connection("127.0.0.1", port)


async def test_the_thirty_third_connection_is_refused(behind: Behind, clock: FakeClock) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    async with serve.serve_socket(listener, app_for(behind.run(), clock)):
        held = []
        for _ in range(32):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET /api/weather HTTP/1.1\r\nhost: x\r\n\r\n")
            await reader.readuntil(b"\r\n\r\n")
            held.append(writer)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        async with asyncio.timeout(5):
            answer = await reader.read()
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["detail"] == "too many connections"
        for one in [*held, writer]:
            one.close()


@pytest.mark.parametrize(
    ("sent", "passed"),
    [
        ("a-2025-01-01, context-1m-2025-08-07,b-1", "a-2025-01-01,b-1"),
        ("context-1m-2025-08-07", None),
        ("b-1", "b-1"),
    ],
)
async def test_a_larger_window_than_the_catalogues_is_not_passed_on(sent, passed, app, behind) -> None:
    headers = [BEARER, JSON, (b"anthropic-beta", sent.encode())]
    assert (await call(app, "POST", "/v1/messages", headers, b"{}")).status == 200
    assert behind.asked == [("messages", {} if passed is None else {"anthropic-beta": passed})]


async def test_a_beta_without_a_price_is_refused_by_name(app, behind) -> None:
    headers = [BEARER, JSON, (b"anthropic-beta", b"x-1,fast-mode-2026-02-01")]
    answer = await call(app, "POST", "/v1/messages", headers, b"{}")
    assert answer.status == 400
    assert "fast-mode-2026-02-01" in answer.json["error"]["message"]
    assert not behind.asked
