"""Outside APIs over real sockets: the secret goes where the operator said, and to nobody else."""

import asyncio
import gzip
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

import aiohttp
import pytest
from aiohttp import web

from macroslow.adapters.http_api import HTTPOutsideAPI, Placement, Where, client, parse_placement
from macroslow.errors import (
    ConfigurationError,
    MissingRightError,
    TooLargeError,
    UpstreamUnavailableError,
)
from macroslow.secretstore.secret import Secret

SECRET = 'k3y"with/odd+char&s=ü'
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Service:
    """An API on loopback that answers as `handler` says and remembers what it was asked."""

    handler: Handler
    url: str = ""
    asked: list[web.Request] = field(default_factory=list)

    async def serve(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request)
        return await self.handler(request)


async def warm(_: web.Request) -> web.StreamResponse:
    return web.json_response({"t": 21})


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    made = Service(warm)
    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", made.serve)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield made
    await runner.cleanup()


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as made:
        yield made


@pytest.fixture
def api(service: Service, session: aiohttp.ClientSession) -> Callable[..., HTTPOutsideAPI]:
    def make(
        placement: str = "bearer", *, secret: str | None = SECRET, base: str = "/base", paths: tuple = ("/",)
    ) -> HTTPOutsideAPI:
        hidden = None if secret is None else Secret(secret)
        return HTTPOutsideAPI(
            "weather", service.url + base, paths, hidden, parse_placement(placement), session
        )

    return make


async def test_an_answer_comes_back_as_it_was_said(api, service: Service) -> None:
    answer = await api(secret=None).get("/now", "q=Berlin&days=2")
    assert (answer.status, answer.content_type, answer.body) == (
        200,
        "application/json; charset=utf-8",
        b'{"t": 21}',
    )
    (asked,) = service.asked
    assert (asked.method, asked.raw_path) == ("GET", "/base/now?q=Berlin&days=2")
    assert "authorization" not in asked.headers
    assert "cookie" not in asked.headers


async def test_the_secret_as_bearer(api, service: Service) -> None:
    await api(secret="abc-123").get("/x", "")
    assert service.asked[0].headers["authorization"] == "Bearer abc-123"
    assert "abc-123" not in service.asked[0].raw_path


async def test_the_secret_in_a_header(api, service: Service) -> None:
    await api("header:X-Api-Key", secret="abc-123").get("/x", "")
    assert service.asked[0].headers["x-api-key"] == "abc-123"
    assert "authorization" not in service.asked[0].headers


@pytest.mark.parametrize(("query", "before"), [("", ""), ("q=1", "q=1&"), ("appid=mine", "appid=mine&")])
async def test_the_secret_in_the_query_is_escaped_and_comes_last(api, service, query, before) -> None:
    await api("query:appid").get("/x", query)
    assert service.asked[0].raw_path == f"/base/x?{before}appid=k3y%22with%2Fodd%2Bchar%26s%3D%C3%BC"
    assert service.asked[0].query.getall("appid")[-1] == SECRET


async def test_escapes_reach_the_service_as_the_caller_wrote_them(api, service: Service) -> None:
    await api(secret=None).get("/caf%C3%A9/a%20b;v=1", "t=a%26b%20c+d&e")
    assert service.asked[0].raw_path == "/base/caf%C3%A9/a%20b;v=1?t=a%26b%20c+d&e"


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500, 503])
async def test_an_error_of_the_service_is_an_answer(api, service: Service, status: int) -> None:
    async def refuses(_: web.Request) -> web.StreamResponse:
        return web.Response(status=status, body=b"no", content_type="text/plain")

    service.handler = refuses
    answer = await api().get("/x", "")
    assert (answer.status, answer.body) == (status, b"no")


async def test_redirects_are_not_followed(api, service: Service) -> None:
    async def elsewhere(request: web.Request) -> web.StreamResponse:
        return web.Response(status=302, headers={"location": f"{service.url}/stolen?{request.query_string}"})

    service.handler = elsewhere
    assert (await api("query:key").get("/x", "")).status == 302
    assert [request.path for request in service.asked] == ["/base/x"]


@pytest.mark.parametrize("placement", ["bearer", "header:x-key", "query:key"])
@pytest.mark.parametrize("secret", ["abc-123-def", SECRET.replace("ü", "u")])
async def test_a_service_that_quotes_the_request_gives_nothing_away(
    api, service: Service, placement: str, secret: str
) -> None:
    async def echoes(request: web.Request) -> web.StreamResponse:
        said = {"url": str(request.url), "raw": request.raw_path, "headers": dict(request.headers)}
        said["query"] = dict(request.query)
        response = web.json_response(said)
        response.headers["content-type"] = f"application/json; was={request.headers.get('x-key', '')}"
        return response

    service.handler = echoes
    answer = await api(placement, secret=secret).get("/x", "")
    whole = answer.body + answer.content_type.encode()
    for form in (
        secret,
        secret.replace('"', '\\"'),
        service.asked[0].raw_path.partition("key=")[2] or secret,
    ):
        assert form.encode() not in whole
    assert b"[secret]" in whole


async def test_an_answer_at_the_cap_passes_and_one_above_does_not(
    api, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "MAX_ANSWER_BYTES", 100_000)

    async def says(request: web.Request) -> web.StreamResponse:
        return web.Response(body=b"a" * int(request.query["n"]))

    service.handler = says
    assert len((await api(secret=None).get("/x", "n=100000")).body) == 100_000
    with pytest.raises(TooLargeError) as refused:
        await api(secret=None).get("/x", "n=100001")
    assert refused.value.limit_bytes == 100_000


async def test_an_answer_without_end_is_cut_off_at_the_cap(
    api, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "MAX_ANSWER_BYTES", 1_000_000)
    gone = asyncio.Event()

    async def floods(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            while True:
                await response.write(b"a" * 65536)
        except ConnectionError:
            gone.set()
            raise
        return response

    service.handler = floods
    with pytest.raises(TooLargeError):
        await api().get("/x", "")
    await asyncio.wait_for(gone.wait(), 5)


async def test_a_packed_answer_counts_as_what_it_unpacks_to(
    api, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "MAX_ANSWER_BYTES", 100_000)

    async def bomb(_: web.Request) -> web.StreamResponse:
        return web.Response(body=gzip.compress(bytes(5_000_000)), headers={"content-encoding": "gzip"})

    service.handler = bomb
    with pytest.raises(TooLargeError):
        await api().get("/x", "")


async def test_a_service_that_says_nothing_is_given_up(
    api, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "TIMEOUT", aiohttp.ClientTimeout(total=0.1))

    async def silent(_: web.Request) -> web.StreamResponse:
        await asyncio.sleep(30)
        raise AssertionError

    service.handler = silent
    with pytest.raises(UpstreamUnavailableError, match=r"weather.*TimeoutError") as failed:
        await api().get("/x", "")
    assert failed.value.upstream == "weather"


async def test_a_service_that_drips_is_given_up_at_the_same_time(
    api, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "TIMEOUT", aiohttp.ClientTimeout(total=0.2))

    async def drips(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b".")
            await asyncio.sleep(0.01)

    service.handler = drips
    with pytest.raises(UpstreamUnavailableError):
        await api().get("/x", "")


async def test_a_service_that_breaks_off_is_no_answer(api, service: Service) -> None:
    async def breaks(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-length": "1000"})
        await response.prepare(request)
        await response.write(b"half")
        assert request.transport is not None
        request.transport.abort()
        return response

    service.handler = breaks
    with pytest.raises(UpstreamUnavailableError):
        await api().get("/x", "")


async def test_an_error_tells_neither_url_nor_secret(session: aiohttp.ClientSession) -> None:
    placement = Placement(client.Where.QUERY, "key")
    unreachable = HTTPOutsideAPI("weather", "http://127.0.0.1:9", ("/",), Secret(SECRET), placement, session)
    with pytest.raises(UpstreamUnavailableError) as failed:
        await unreachable.get("/x", "")
    error = failed.value
    said = f"{error} {error.detail} {error.reason} {error.fix} {error.__cause__} {error.__suppress_context__}"
    assert "k3y" not in said
    assert "127.0.0.1" not in said
    assert error.__suppress_context__


@pytest.mark.parametrize(
    ("opened", "path", "passes"),
    [
        ("/", "", True),
        ("/", "/anything/below", True),
        ("/v1", "/v1", True),
        ("/v1", "/v1/x", True),
        ("/v1", "/v10/x", False),
        ("/v1", "/v", False),
        ("/v1/", "/v1/x", True),
        ("/v1/", "/v1", True),
        ("/v1/", "/v2/", False),
        ("/v1/", "", False),
        ("/v1/", "/V1/x", False),
    ],
)
async def test_only_opened_paths_are_asked_for_by_whole_segments(api, service, opened, path, passes) -> None:
    asking = api(paths=("/nothing/here", opened)).get(path, "")
    if passes:
        assert (await asking).status == 200
        return
    with pytest.raises(MissingRightError) as refused:
        await asking
    assert refused.value.uri == "api://weather"
    assert service.asked == []


async def test_the_environments_proxies_are_not_used(api, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert (await api().get("/x", "")).status == 200


@pytest.mark.parametrize(
    ("text", "placement"),
    [
        ("bearer", Placement(client.Where.BEARER)),
        ("header:X-Api-Key", Placement(client.Where.HEADER, "X-Api-Key")),
        ("query:app_id", Placement(client.Where.QUERY, "app_id")),
    ],
)
def test_placements_are_read(text: str, placement: Placement) -> None:
    assert parse_placement(text) == placement


@pytest.mark.parametrize(
    "text",
    ["", ":", "bearer:x", "Bearer", "header", "header:", "query:", "query:a=b", "header:a b", "header:é",
     "header:a\r\nb", "query:a&b", "cookie:a", "header:a:b", "header:-", "header:²"],
)  # fmt: skip
def test_what_is_no_place_for_a_secret_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError):
        parse_placement(text)


async def test_a_word_may_stand_before_the_secret_in_its_header(service: Service, session) -> None:
    placed = Placement(Where.HEADER, prefix="Client-ID ")
    api = HTTPOutsideAPI("photos", service.url, ("/",), Secret("abc-123"), placed, session)
    await api.get("/x", "")
    assert service.asked[0].headers["authorization"] == "Client-ID abc-123"


async def test_what_a_service_says_of_its_limit_is_told_and_no_other_header(api, service: Service) -> None:
    async def limited(_: web.Request) -> web.StreamResponse:
        said = {"X-Ratelimit-Limit": "50", "X-RateLimit-Remaining": "49", "Set-Cookie": "a=b", "X-Other": "1"}
        return web.json_response({}, headers=said)

    service.handler = limited
    assert (await api().get("/x", "")).headers == {"x-ratelimit-limit": "50", "x-ratelimit-remaining": "49"}
