"""Unsplash and Pixabay as the emulator plays them: shapes, keys, limits, headers."""

import zlib

import pytest
from tests.emulator.asking import KEY, Reply, call
from tests.machine import SetClock

from macroslow.emulator import Emulator, ImageLimits, create_emulator
from macroslow.ports import HOUR_NS, MINUTE_NS

BEARER = {"authorization": f"Client-ID {KEY}", "host": "127.0.0.1:8100"}


@pytest.fixture
def app(clock: SetClock) -> Emulator:
    return create_emulator(clock=clock, image_limits=ImageLimits(unsplash_per_hour=3, pixabay_per_minute=2))


async def unsplash(
    app: Emulator, query: str = "query=sky", path: str = "/search/photos", **headers: str
) -> Reply:
    return await call(app, method="GET", path=path, query=query, headers={**BEARER, **headers})


async def pixabay(app: Emulator, query: str = "q=sky", key: str = KEY) -> Reply:
    return await call(app, method="GET", path="/api/", query=f"key={key}&{query}", headers={"host": "h:1"})


async def test_a_search_of_unsplash_has_its_shape_and_leads_to_the_emulator_alone(app: Emulator) -> None:
    reply = await unsplash(app, "query=sky&per_page=4&page=2&orientation=portrait")
    assert (reply.status, reply.headers["x-macroslow-emulator"]) == (200, "1")
    said = reply.json()
    assert (said["total"], said["total_pages"], len(said["results"])) == (1234, 309, 4)
    for one in said["results"]:
        assert one["height"] > one["width"]
        origin = "http://127.0.0.1:8100/"
        assert all(url.startswith(origin) for url in (*one["urls"].values(), *one["links"].values()))
        assert one["links"]["download_location"].startswith(f"{origin}photos/{one['id']}/download?ixid=")
    again = await unsplash(app, "query=sky&per_page=4&page=2&orientation=portrait")
    assert again.body == reply.body


async def test_a_download_is_counted_by_photo(app: Emulator) -> None:
    photo = (await unsplash(app)).json()["results"][0]
    path, _, query = photo["links"]["download_location"].removeprefix("http://127.0.0.1:8100").partition("?")
    assert (await unsplash(app, query, path)).status == 200
    stats = (await call(app, method="GET", path="/emulator/stats")).json()["images"]
    assert stats == {"answered": {"unsplash": 2}, "rate_limited": {}, "downloads": {photo["id"]: 1}}


async def test_a_download_without_what_the_photo_carried_is_not_found(app: Emulator) -> None:
    assert (await unsplash(app, "", "/photos/Dwu85P9SOIk/download")).status == 404


@pytest.mark.parametrize("credential", ["", f"Bearer {KEY}", "Client-ID ", "Client-ID wrong"])
async def test_unsplash_wants_its_own_form_of_a_key(app: Emulator, credential: str) -> None:
    reply = await unsplash(app, authorization=credential)
    assert (reply.status, reply.json()["errors"]) == (401, ["OAuth error: The access token is invalid"])


async def test_unsplashs_hour_ends_and_begins_anew(app: Emulator, clock: SetClock) -> None:
    clock.time_ns = clock.time_ns // HOUR_NS * HOUR_NS
    left = [(await unsplash(app)).headers["x-ratelimit-remaining"] for _ in range(3)]
    assert left == ["2", "1", "0"]
    refused = await unsplash(app)
    assert (refused.status, refused.body) == (403, b"Rate Limit Exceeded")
    assert (refused.headers["x-ratelimit-limit"], refused.headers["x-ratelimit-remaining"]) == ("3", "0")
    assert (await unsplash(app, authorization=f"Client-ID {KEY}2")).status == 200, "another key"
    clock.time_ns += HOUR_NS
    assert (await unsplash(app)).status == 200


async def test_a_search_of_pixabay_has_its_shape(app: Emulator) -> None:
    said = (await pixabay(app, "q=sky&per_page=3&orientation=vertical")).json()
    assert (said["total"], said["totalHits"], len(said["hits"])) == (1234, 500, 3)
    for one in said["hits"]:
        assert one["imageHeight"] > one["imageWidth"]
        assert one["webformatURL"].startswith("http://h:1/images/")
    assert (await pixabay(app, "q=nothing")).json()["hits"] == []


async def test_pixabays_minute_says_when_it_ends(app: Emulator, clock: SetClock) -> None:
    clock.time_ns = clock.time_ns // MINUTE_NS * MINUTE_NS + MINUTE_NS // 4
    replies = [await pixabay(app) for _ in range(3)]
    assert [one.status for one in replies] == [200, 200, 429]
    assert {one.headers["x-ratelimit-reset"] for one in replies} == {"45"}
    clock.time_ns += 45 * 10**9
    assert (await pixabay(app)).status == 200


@pytest.mark.parametrize(
    "query",
    [
        "q=sky&per_page=2",
        "q=sky&per_page=201",
        "q=sky&page=0",
        "q=sky&page=26&per_page=20",
        "q=sky&page=x",
        "q=sky&orientation=square",
        f"q={101 * 'a'}",
    ],
)
async def test_what_pixabay_does_not_take_is_its_error_400(app: Emulator, query: str) -> None:
    reply = await pixabay(app, query)
    assert reply.status == 400
    assert reply.body.startswith(b"[ERROR 400] ")


async def test_pixabay_wants_a_key_in_the_query(app: Emulator) -> None:
    assert (await pixabay(app, key="wrong")).status == 400


@pytest.mark.parametrize(("width", "pixels"), [("200", 200), ("9999", 1280), ("x", 1280), ("", 1280)])
async def test_an_image_is_a_picture_of_its_colour_and_costs_nothing(
    app: Emulator, width: str, pixels: int
) -> None:
    for _ in range(5):
        reply = await call(app, method="GET", path="/images/336699.png", query=f"w={width}", headers={})
    assert (reply.status, reply.headers["content-type"]) == (200, "image/png")
    assert reply.body[16:24] == pixels.to_bytes(4, "big") + (2 * pixels // 3).to_bytes(4, "big")
    rows = zlib.decompress(reply.body[reply.body.index(b"IDAT") + 4 : -16])
    assert rows[1:4] == bytes.fromhex("336699")
    assert "x-ratelimit-limit" not in reply.headers


async def test_nothing_is_posted(app: Emulator) -> None:
    assert (await call(app, path="/api/", headers={})).status == 405


async def test_paths_of_models_stay_what_they_were(app: Emulator) -> None:
    for path in ("/photos", "/api", "/images/../etc.png", "/images/33669.png", "/photos/x/download/y"):
        assert (await call(app, method="GET", path=path)).status == 404
