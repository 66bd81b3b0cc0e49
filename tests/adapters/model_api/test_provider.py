"""The adapter against real servers on the loopback, well-behaved and not."""

import asyncio
import gzip
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import orjson
import pytest
from aiohttp import web

from macroslow.adapters.model_api import ModelAPI, Patience
from macroslow.errors import ConfigurationError, UpstreamRefusedError, UpstreamUnavailableError
from macroslow.inference.dialect import Dialect
from macroslow.inference.ports import NotReached, ProviderAnswer, ProviderStream
from macroslow.secretstore.secret import Secret

KEY = "sk-canary-0123456789"
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def serving(handler: Handler, **options) -> AsyncIterator[ModelAPI]:
    """A provider that is connected to `handler` on a port of its own."""
    server = web.Server(handler)
    runner = web.ServerRunner(server)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = site._server.sockets[0].getsockname()[1]
    provider = ModelAPI("up", f"http://127.0.0.1:{port}/v1", Secret(KEY), **options)
    try:
        yield provider
    finally:
        await provider.close()
        await runner.cleanup()


@asynccontextmanager
async def talking(raw: bytes, *, then_wait: bool = False, **options) -> AsyncIterator[ModelAPI]:
    """A provider connected to a server that reads a request, sends `raw` and hangs up (or never does)."""
    forever = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(raw)
        await writer.drain()
        if then_wait:
            await forever.wait()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    provider = ModelAPI("up", f"http://127.0.0.1:{port}/v1", Secret(KEY), **options)
    try:
        yield provider
    finally:
        forever.set()
        await provider.close()
        server.close()
        await server.wait_closed()


def fixed(status: int, body: bytes = b"{}", **headers: str) -> Handler:
    async def handler(request: web.Request) -> web.Response:
        await request.read()
        return web.Response(status=status, body=body, headers=headers)

    return handler


async def test_the_body_goes_out_and_comes_back_byte_for_byte():
    seen = []

    async def handler(request: web.Request) -> web.Response:
        seen.append((request.method, request.path, dict(request.headers), await request.read()))
        return web.Response(body=b'{ "odd" : 1.50 }', content_type="application/json")

    async with serving(handler) as provider:
        answer = await provider.complete("/chat/completions", b'{"a":1}', deadline_s=5)
    assert answer == ProviderAnswer(200, {"content-type": "application/json"}, b'{ "odd" : 1.50 }')
    method, path, headers, body = seen[0]
    assert (method, path, body) == ("POST", "/v1/chat/completions", b'{"a":1}')
    headers.pop("Host")
    assert headers == {
        "Authorization": f"Bearer {KEY}",
        "User-Agent": "macroslow",
        "Accept": "*/*",
        "Accept-Encoding": "identity",
        "Content-Type": "application/json",
        "Content-Length": "7",
    }


async def sent_headers(path="/chat/completions", given=None, **options) -> dict[str, str]:
    """The headers of one request as a server gets them, but for those that every request has."""
    seen = []

    async def handler(request: web.Request) -> web.Response:
        seen.append((request.path, dict(request.headers)))
        return web.Response(body=b"{}")

    async with serving(handler, **options) as provider:
        await provider.complete(path, b"{}", headers=given or {}, deadline_s=5)
    assert seen[0][0] == "/v1" + path
    usual = {"Host", "User-Agent", "Accept", "Accept-Encoding", "Content-Type", "Content-Length"}
    assert usual <= seen[0][1].keys()
    return {name: value for name, value in seen[0][1].items() if name not in usual}


@pytest.mark.parametrize(
    ("options", "headers"),
    [
        ({}, {"Authorization": f"Bearer {KEY}"}),
        ({"auth": "api-key"}, {"api-key": KEY}),
        ({"dialect": Dialect.ANTHROPIC}, {"x-api-key": KEY, "anthropic-version": "2023-06-01"}),
        (
            {"dialect": Dialect.ANTHROPIC, "auth": "bearer"},
            {"Authorization": f"Bearer {KEY}", "anthropic-version": "2023-06-01"},
        ),
    ],
    ids=["openai", "azure", "anthropic", "anthropic-bearer"],
)
async def test_the_key_goes_where_the_dialect_or_the_operator_says(options, headers):
    assert await sent_headers(**options) == headers


@pytest.mark.parametrize(
    "path", ["/chat/completions", "/responses", "/embeddings", "/messages", "/x/y-1/z_2.3"]
)
async def test_one_provider_serves_every_path(path):
    await sent_headers(path)


async def test_the_callers_headers_go_along_and_replace_the_dialects():
    given = {"Anthropic-Version": "2024-01-01", "anthropic-beta": "a-1, b-2"}
    assert await sent_headers(given=given, dialect=Dialect.ANTHROPIC) == {
        "anthropic-version": "2024-01-01",
        "anthropic-beta": "a-1, b-2",
        "x-api-key": KEY,
    }


@pytest.mark.parametrize(
    "headers",
    [
        {"x-y": "a\r\nx-z: b"},
        {"x-y": "a\nb"},
        {"x-y": "a\x00"},
        {"x-y": "ä"},
        {"x-y": ""},
        {"x-y": "a\tb"},
        {"x y": "a"},
        {"x-y:": "a"},
        {"x-y\r\nx-z": "a"},
        {"": "a"},
        {"Authorization": "Bearer other"},
        {"X-API-Key": "other"},
        {"api-key": "other"},
        {"Content-Length": "0"},
        {"transfer-encoding": "chunked"},
        {"Host": "elsewhere"},
        {"accept-encoding": "gzip"},
        {"Connection": "close"},
    ],
)
async def test_a_header_that_could_change_the_request_is_not_sent(headers):
    asked = []

    async def handler(request: web.Request) -> web.Response:
        asked.append(request.path)
        return web.Response()

    async with serving(handler) as provider:
        with pytest.raises(ValueError):
            await provider.complete("/messages", b"{}", headers=headers, deadline_s=5)
        with pytest.raises(ValueError):
            await provider.stream("/messages", b"{}", headers=headers, deadline_s=5).__aenter__()
    assert not asked


@pytest.mark.parametrize(
    "path",
    [
        "",
        "messages",
        "/",
        "/a//b",
        "/a/",
        "/../a",
        "/a/..",
        "/.a",
        "/a?b=c",
        "/a#b",
        "/a b",
        "/a\r\nb",
        "/ä",
        "/%2e",
    ],
)
async def test_a_path_that_is_not_plain_is_not_asked(path):
    provider = ModelAPI("up", "http://127.0.0.1:9/v1", Secret(KEY))
    with pytest.raises(ValueError):
        await provider.complete(path, b"{}", deadline_s=5)


@pytest.mark.parametrize(
    ("dialect", "passed"),
    [
        (
            Dialect.OPENAI,
            {
                "Retry-After": "1",
                "Retry-After-Ms": "2",
                "X-Should-Retry": "true",
                "OpenAI-Processing-Ms": "3",
                "X-RateLimit-Limit-Requests": "4",
                "X-RateLimit-Reset-Tokens": "6m0s",
            },
        ),
        (
            Dialect.ANTHROPIC,
            {
                "Retry-After": "1",
                "X-Should-Retry": "false",
                "Request-Id": "req_1",
                "Anthropic-RateLimit-Input-Tokens-Remaining": "7",
                "Anthropic-RateLimit-Requests-Reset": "2026-01-01T00:00:00Z",
            },
        ),
    ],
)
@pytest.mark.parametrize("status", [200, 429])
async def test_what_a_provider_says_of_its_limits_comes_back(dialect, passed, status):
    others = {"X-Request-Id": "r", "Set-Cookie": "a=b", "Server": "s", "X-Other": "o"}
    async with serving(fixed(status, **passed, **others), dialect=dialect) as provider:
        answer = await provider.complete("/messages", b"{}", deadline_s=5)
    expected = {name.lower(): value for name, value in passed.items()}
    assert answer.headers.keys() - {"content-type"} == expected.keys()
    assert expected.items() <= answer.headers.items()


async def test_a_header_with_the_key_or_with_odd_letters_does_not_come_back():
    raw = (
        f"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nRetry-After: {KEY}\r\nX-RateLimit-A: 1 {KEY}\r\n".encode()
        + b"X-RateLimit-B: \xff\r\nX-RateLimit-C: a\tb\r\nX-RateLimit-D: 1\r\n\r\n{}"
    )
    async with talking(raw) as provider:
        answer = await provider.complete("/messages", b"{}", deadline_s=5)
    assert answer.headers == {"x-ratelimit-d": "1"}


async def test_only_listed_headers_come_back():
    headers = {"Set-Cookie": "a=b", "X-Ratelimit-Remaining-Tokens": "5", "X-Secret": KEY, "Server": "x"}
    async with serving(fixed(200, **headers)) as provider:
        answer = await provider.complete("/chat/completions", b"{}", deadline_s=5)
        again = await provider.complete("/chat/completions", b"{}", deadline_s=5)
    assert answer.headers == again.headers
    assert answer.headers.keys() == {"content-type", "x-ratelimit-remaining-tokens"}


async def test_connections_are_kept_alive_and_no_cookie_is_kept():
    connections, cookies = set(), []

    async def handler(request: web.Request) -> web.Response:
        await request.read()
        connections.add(request.transport.get_extra_info("peername"))
        cookies.append(request.headers.get("Cookie"))
        return web.Response(body=b"{}", headers={"Set-Cookie": "a=b; Path=/"})

    async with serving(handler) as provider:
        for _ in range(5):
            await provider.complete("/chat/completions", b"{}", deadline_s=5)
    assert len(connections) == 1
    assert cookies == [None] * 5


async def test_a_stream_comes_as_it_is_sent():
    go_on = asyncio.Event()

    async def handler(request: web.Request) -> web.StreamResponse:
        await request.read()
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream; charset=utf-8"})
        await response.prepare(request)
        await response.write(b"data: 1\n\n")
        await go_on.wait()
        await response.write(b"data: [DONE]\n\n")
        return response

    async with (
        serving(handler) as provider,
        provider.stream("/chat/completions", b"{}", deadline_s=5) as opened,
    ):
        assert isinstance(opened, ProviderStream)
        chunks = opened.chunks
        assert await anext(chunks) == b"data: 1\n\n"
        go_on.set()
        assert b"".join([chunk async for chunk in chunks]) == b"data: [DONE]\n\n"


async def test_leaving_a_stream_closes_its_connection():
    gone = asyncio.Event()

    async def handler(request: web.Request) -> web.StreamResponse:
        await request.read()
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        try:
            while True:
                await response.write(b"data: x\n\n")
                await asyncio.sleep(0.01)
        except (ConnectionError, asyncio.CancelledError):
            gone.set()
            raise

    async with serving(handler) as provider:
        async with provider.stream("/chat/completions", b"{}", deadline_s=5) as opened:
            await anext(opened.chunks)
        await asyncio.wait_for(gone.wait(), 5)


async def test_cancelling_a_call_closes_its_connection():
    arrived, gone = asyncio.Event(), asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        arrived.set()
        while await reader.read(1000):
            pass
        gone.set()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    provider = ModelAPI("up", f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", Secret(KEY))
    task = asyncio.create_task(provider.complete("/chat/completions", b"{}", deadline_s=5))
    await asyncio.wait_for(arrived.wait(), 5)
    task.cancel()
    await asyncio.wait({task})
    await asyncio.wait_for(gone.wait(), 5)
    await provider.close()
    server.close()


@pytest.mark.parametrize("status", [401, 403])
async def test_a_refused_key_is_an_error_that_quotes_nothing(status):
    body = f'{{"error":{{"message":"Incorrect API key provided: {KEY}"}}}}'.encode()
    async with serving(fixed(status, body), key_name="env:THE_KEY") as provider:
        with pytest.raises(UpstreamRefusedError) as caught:
            await provider.complete("/chat/completions", b"{}", deadline_s=5)
    assert caught.value.status == status
    assert caught.value.reason == f"status {status} to env:THE_KEY"  # for the log alone
    assert "env:THE_KEY" not in caught.value.detail + caught.value.fix
    assert "canary" not in repr(caught.value) + str(vars(caught.value))


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_redirects_are_not_followed(status):
    asked = []

    async def handler(request: web.Request) -> web.Response:
        asked.append(request.path)
        return web.Response(status=status, headers={"Location": "/elsewhere"})

    async with serving(handler) as provider:
        with pytest.raises(UpstreamRefusedError) as caught:
            await provider.complete("/chat/completions", b"{}", deadline_s=5)
    assert caught.value.status == status
    assert asked == ["/v1/chat/completions"]


@pytest.mark.parametrize("status", [400, 404, 429, 500, 503])
async def test_errors_pass_without_the_key(status):
    body = f'{{"error":{{"message":"quota of {KEY} used up"}}}}'.encode()
    headers = {"Retry-After": "9", "Content-Type": "text/html"}
    async with serving(fixed(status, body, **headers)) as provider:
        answer = await provider.complete("/chat/completions", b"{}", deadline_s=5)
    assert answer.status == status
    assert answer.headers == {"retry-after": "9", "content-type": "application/json"}
    assert answer.body == b'{"error":{"message":"quota of [removed] used up"}}'


@pytest.mark.parametrize(
    ("dialect", "error"),
    [
        (Dialect.OPENAI, {"error": {"type": "upstream_error", "param": None, "code": None}}),
        (Dialect.ANTHROPIC, {"type": "error", "error": {"type": "api_error"}}),
    ],
)
async def test_an_error_that_cannot_be_read_is_told_in_the_shape_of_the_dialect(dialect, error):
    async with serving(fixed(502, b"<html>"), dialect=dialect) as provider:
        answer = await provider.complete("/messages", b"{}", deadline_s=5)
    told = orjson.loads(answer.body)
    assert (
        told["error"].pop("message") == "the provider answered with status 502 and no error that can be read"
    )
    assert told == error


async def test_an_error_that_breaks_off_is_still_an_error():
    async with talking(b"HTTP/1.1 429 Slow\r\nRetry-After: 3\r\nContent-Length: 100\r\n\r\n{") as provider:
        answer = await provider.complete("/messages", b"{}", deadline_s=5)
    assert (answer.status, answer.headers["retry-after"]) == (429, "3")
    assert orjson.loads(answer.body)["error"]["type"] == "upstream_error"


async def test_a_compressed_error_is_replaced_unread():
    body = gzip.compress(b'{"error":"x"}')
    async with serving(fixed(500, body, **{"Content-Encoding": "gzip"})) as provider:
        answer = await provider.complete("/messages", b"{}", deadline_s=5)
    assert orjson.loads(answer.body)["error"]["type"] == "upstream_error"


async def test_an_event_stream_that_was_not_asked_for_is_read_whole():
    async with serving(fixed(200, b"data: 1\n\n", **{"Content-Type": "text/event-stream"})) as provider:
        answer = await provider.complete("/messages", b"{}", deadline_s=5)
    assert answer == ProviderAnswer(200, {"content-type": "text/event-stream"}, b"data: 1\n\n")


@pytest.mark.parametrize("status", [200, 400])
async def test_a_stream_that_is_none_comes_as_an_answer(status):
    handler = fixed(status, b'{"a":1}', **{"Content-Type": "application/json"})
    async with serving(handler) as provider, provider.stream("/messages", b"{}", deadline_s=5) as opened:
        assert opened == ProviderAnswer(status, {"content-type": "application/json"}, b'{"a":1}')


async def test_a_stream_above_the_bound_is_cut_off():
    raw = STREAM + b"400\r\n" + b"x" * 1024 + b"\r\n400\r\n" + b"x" * 1024 + b"\r\n0\r\n\r\n"
    async with (
        talking(raw, max_answer_bytes=1500) as up,
        up.stream("/messages", b"{}", deadline_s=5) as opened,
    ):
        with pytest.raises(UpstreamUnavailableError, match="1500 bytes"):
            [chunk async for chunk in opened.chunks]


async def test_a_kept_connection_that_closes_on_a_request_says_so_and_repeats_nothing():
    asked = 0

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        for reply in (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", b""):
            await reader.readuntil(b"{}")
            asked += 1
            writer.write(reply)
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    provider = ModelAPI("up", f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", Secret(KEY))
    await provider.complete("/messages", b"{}", deadline_s=5)
    with pytest.raises(UpstreamUnavailableError) as caught:
        await provider.complete("/messages", b"{}", deadline_s=5)
    assert caught.value.reason.startswith("StaleConnectionError")
    assert asked == 2
    await provider.close()
    server.close()


async def test_an_error_of_any_length_is_bounded():
    async with serving(fixed(500, b'{"x":"' + b"y" * 10_000_000 + b'"}')) as provider:
        answer = await provider.complete("/chat/completions", b"{}", deadline_s=5)
    assert len(answer.body) < 1000


async def test_a_compressed_answer_is_refused_unread():
    bomb = gzip.compress(b"0" * 10_000_000)
    async with serving(fixed(200, bomb, **{"Content-Encoding": "gzip"})) as provider:
        with pytest.raises(UpstreamUnavailableError):
            await provider.complete("/chat/completions", b"{}", deadline_s=5)


async def test_an_answer_above_the_bound_is_cut_off():
    async with serving(fixed(200, b"x" * 2000), max_answer_bytes=1000) as provider:
        with pytest.raises(UpstreamUnavailableError):
            await provider.complete("/chat/completions", b"{}", deadline_s=5)


async def test_nobody_there_means_that_nothing_was_sent():
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    provider = ModelAPI("up", f"http://127.0.0.1:{port}/v1", Secret(KEY))
    reached = await provider.complete("/chat/completions", b"{}", deadline_s=5)
    assert isinstance(reached, NotReached)
    where = f"http://127.0.0.1:{port}: connection refused"
    assert reached.reason == f"{where}; see base_url of providers.{provider.name}"
    await provider.close()


OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        OK + b"Content-Length: 100\r\n\r\n{",
        OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nab",
        OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        OK + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n12345",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000 + b"\r\n\r\n",
        STREAM + b"9\r\ndata: 1\n\n\r\n5\r\nda",
    ],
)
async def test_an_answer_that_is_cut_or_is_no_http_is_a_break(raw):
    async with talking(raw) as provider:
        with pytest.raises(UpstreamUnavailableError) as caught:
            await provider.complete("/chat/completions", b"{}", deadline_s=5)
    assert caught.value.detail == "the provider up broke off"
    assert "canary" not in str(vars(caught.value))


async def test_a_cut_stream_gives_what_came_and_then_the_break():
    raw = STREAM + b"9\r\ndata: 1\n\n\r\n5\r\nda"
    async with talking(raw) as provider, provider.stream("/chat/completions", b"{}", deadline_s=5) as opened:
        assert (await anext(opened.chunks)).startswith(b"data: 1\n\n")
        with pytest.raises(UpstreamUnavailableError):
            [chunk async for chunk in opened.chunks]


@pytest.mark.parametrize("raw", [b"", OK, OK + b"Content-Length: 9\r\n\r\n{", STREAM])
@pytest.mark.parametrize(("idle_s", "deadline_s"), [(0.1, 30), (30, 0.5)])
async def test_one_that_falls_silent_is_given_up(raw, idle_s, deadline_s):
    async with talking(raw, then_wait=True, patience=Patience(head_s=idle_s, idle_s=idle_s)) as provider:
        with pytest.raises(UpstreamUnavailableError, match="the provider up was too slow"):
            await asyncio.wait_for(provider.complete("/chat/completions", b"{}", deadline_s=deadline_s), 5)


@pytest.mark.parametrize(
    "base_url",
    [
        "",
        "api.openai.com/v1",
        "ftp://host/v1",
        "http://",
        "http:///v1",
        "https://user:pw@host/v1",
        "https://host/v1?x=1",
        "https://host/v1#f",
        "https://host/v1?",
        "https://@host/v1",
        "https://host:0/v1",
        "https://host:65536/v1",
        "https://host:x/v1",
        "https://host/v 1",
        "https://host/v1\r\nX: y",
        "https://hôst/v1",
    ],
)
def test_a_destination_that_is_not_plain_is_refused(base_url):
    with pytest.raises(ConfigurationError):
        ModelAPI("up", base_url, Secret(KEY))


def test_a_way_of_sending_the_key_that_is_not_in_the_table_is_refused():
    with pytest.raises(ConfigurationError):
        ModelAPI("up", "https://host/v1", Secret(KEY), auth="basic")


def test_a_provider_says_which_key_of_whom_it_is():
    one = ModelAPI("up", "https://host/v1", None, dialect=Dialect.ANTHROPIC, account="up#2", emulator=True)
    assert (one.name, one.account, one.dialect, one.emulator) == ("up", "up#2", "anthropic", True)
    assert ModelAPI("up", "https://host/v1", None).account == "up"


@pytest.mark.parametrize("key", ["", "a b", "a\r\nX: y", "schlüssel", "a\x00"])
def test_a_key_that_cannot_be_sent_is_refused(key):
    with pytest.raises(ConfigurationError) as caught:
        ModelAPI("up", "https://host/v1", Secret(key))
    assert not key or key not in str(vars(caught.value))


async def test_a_provider_that_was_never_used_closes():
    await ModelAPI("up", "https://host/v1/", Secret(KEY)).close()
