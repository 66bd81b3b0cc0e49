"""Images from the configuration to the socket: the key goes where it belongs, and limits hold over there."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import web
from tests.contract.fake_books import FakeBooks

from macroslow.authn.principal import Principal
from macroslow.bootstrap.outside.images import open_images
from macroslow.bootstrap.outside.session import Outward
from macroslow.emulator import Emulator, create_emulator, running
from macroslow.errors import MacroslowError, RateLimitedError, TooLargeError, UpstreamError
from macroslow.images.search import ImageQuery
from macroslow.secretstore.secret import Secret
from macroslow.services.images.search_images import Images
from macroslow.settings import Settings

ANN = Principal("ann", "key/ann", "ann0")
KEY = "sk-emulator-Zk3w9vX1r5pQ7sT2"
Open = Callable[..., Images]


@pytest.fixture
async def open_at() -> AsyncIterator[Open]:
    outward = Outward()

    def make(base_url: str, *, emulator: bool = True, key: str = KEY) -> Images:
        table = {"key": "env:K", "base_url": base_url, "emulator": emulator}
        settings = Settings.model_validate({"images": {"unsplash": table, "pixabay": table}})
        keys = SimpleNamespace(api_key_pepper=b"p" * 32)
        core: Any = SimpleNamespace(settings=settings, books=FakeBooks(), keys=keys)
        secrets = {f"images.{name}.key": Secret(key) for name in ("unsplash", "pixabay")}
        images = open_images(core, secrets, outward)
        assert images is not None
        return images

    yield make
    await outward.close()


@pytest.fixture
async def emulator() -> AsyncIterator[tuple[Emulator, str]]:
    app = create_emulator()
    async with running(app) as base_url:
        yield app, base_url.removesuffix("/v1")


def search(images: Images, text: str = "sky", provider: str = "any") -> Awaitable[dict[str, Any]]:
    return images.search(ANN, ImageQuery.of(text), provider=provider, request_id="r")


async def test_without_a_table_there_are_no_images() -> None:
    core: Any = SimpleNamespace(settings=Settings())
    assert open_images(core, {}, Outward()) is None


async def test_both_providers_answer_and_a_use_arrives(open_at: Open, emulator: tuple[Emulator, str]) -> None:
    app, url = emulator
    images = open_at(url)
    assert images.providers == ("unsplash", "pixabay")
    told = await search(images)
    assert (told["provider"], told["total"], told["left_out"], len(told["images"])) == (
        "unsplash",
        1234,
        0,
        10,
    )
    first = told["images"][0]
    assert first["attribution"]["html"].startswith('Photo by <a href="http://127.0.0.1:')
    assert await images.use(ANN, first["id"], request_id="r") == {
        "id": first["id"],
        "provider": "unsplash",
        "reported": True,
        "first": True,
    }
    assert app.images.report()["downloads"] == {first["id"].split(":")[1]: 1}
    other = await search(images, provider="pixabay")
    assert other["images"][0]["attribution"]["text"].endswith(" from Pixabay")


async def test_three_times_the_limit_at_once_is_never_too_much_for_them(
    open_at: Open, emulator: tuple[Emulator, str]
) -> None:
    app, url = emulator
    images = open_at(url)
    for name, limit in (("unsplash", 50), ("pixabay", 100)):
        searches = [search(images, f"q{number}", name) for number in range(3 * limit)]
        ends = await asyncio.gather(*searches, return_exceptions=True)
        answered = [one for one in ends if isinstance(one, dict)]
        assert all(isinstance(one, dict | RateLimitedError) for one in ends)
        assert len(answered) >= limit // 2 - 2
    assert app.images.rate_limited == {}


async def test_a_key_that_is_not_taken_is_told_without_it(
    open_at: Open, emulator: tuple[Emulator, str]
) -> None:
    images = open_at(emulator[1], key="Zk3w9vX1r5pQ7sT2")
    with pytest.raises(UpstreamError) as refused:
        await search(images)
    assert "Zk3w9vX1r5pQ7sT2" not in repr(vars(refused.value))


async def test_an_emulator_is_refused_where_the_configuration_does_not_say_so(
    open_at: Open, emulator: tuple[Emulator, str]
) -> None:
    with pytest.raises(UpstreamError, match="is an emulator"):
        await search(open_at(emulator[1], emulator=False))


@dataclass
class Hostile:
    """A provider that answers as `handler` says, and remembers what it was asked."""

    url: str = ""
    handler: Callable[[web.Request], Awaitable[web.StreamResponse]] | None = None
    asked: list[web.Request] = field(default_factory=list)

    async def serve(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request)
        assert self.handler is not None
        return await self.handler(request)


@pytest.fixture
async def hostile() -> AsyncIterator[Hostile]:
    made = Hostile()
    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", made.serve)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield made
    await runner.cleanup()


@pytest.mark.parametrize("provider", ["unsplash", "pixabay"])
async def test_a_redirect_takes_the_key_nowhere(open_at: Open, hostile: Hostile, provider: str) -> None:
    async def away(_: web.Request) -> web.StreamResponse:
        return web.Response(status=302, headers={"location": f"{hostile.url}/stolen"})

    hostile.handler = away
    with pytest.raises(UpstreamError):
        await search(open_at(hostile.url), provider=provider)
    (asked,) = hostile.asked
    assert asked.path == {"unsplash": "/search/photos", "pixabay": "/api/"}[provider]


async def test_the_key_goes_in_the_form_and_the_place_of_each(open_at: Open, hostile: Hostile) -> None:
    async def nothing(_: web.Request) -> web.StreamResponse:
        return web.json_response({"results": [], "hits": []})

    hostile.handler = nothing
    images = open_at(hostile.url)
    await search(images, provider="unsplash")
    await search(images, provider="pixabay")
    unsplash, pixabay = hostile.asked
    assert unsplash.headers["authorization"] == f"Client-ID {KEY}"
    assert KEY not in unsplash.raw_path
    assert pixabay.query["key"] == KEY
    assert "authorization" not in pixabay.headers


@pytest.mark.parametrize("provider", ["unsplash", "pixabay"])
async def test_an_answer_without_end_is_cut_off(open_at: Open, hostile: Hostile, provider: str) -> None:
    async def flood(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        with_room = 16 * 1024 * 1024
        while with_room:
            await response.write(65536 * b" ")
            with_room -= 65536
        return response

    hostile.handler = flood
    with pytest.raises(TooLargeError):
        await search(open_at(hostile.url), provider=provider)


@pytest.mark.parametrize("provider", ["unsplash", "pixabay"])
async def test_a_connection_that_breaks_is_an_upstream_that_fails(
    open_at: Open, hostile: Hostile, provider: str
) -> None:
    async def breaks(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    hostile.handler = breaks
    with pytest.raises(UpstreamError) as failed:
        await search(open_at(hostile.url), provider=provider)
    assert KEY not in repr(vars(failed.value))


async def test_what_quotes_the_key_gives_it_to_nobody(open_at: Open, hostile: Hostile) -> None:
    async def quotes(_: web.Request) -> web.StreamResponse:
        image = {
            **dict.fromkeys(("previewURL", "webformatURL", "largeImageURL"), f"{hostile.url}/{KEY}.png"),
            "id": 1,
            "pageURL": f"{hostile.url}/1",
            "tags": f"your key {KEY}",
            "user": KEY,
            "user_id": 1,
            "imageWidth": 1,
            "imageHeight": 1,
        }
        return web.json_response({"hits": [image], "totalHits": 1}, headers={"x-ratelimit-limit": KEY})

    hostile.handler = quotes
    try:
        told = await search(open_at(hostile.url), provider="pixabay")
    except MacroslowError as error:
        told = vars(error)
    assert KEY not in repr(told)
