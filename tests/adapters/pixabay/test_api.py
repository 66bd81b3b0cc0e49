"""Pixabay by its rules: addresses for a day, the source shown; and nothing that a hostile answer wants."""

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

import orjson
import pytest

from macroslow.adapters.pixabay import Pixabay
from macroslow.errors import UpstreamRefusedError, UpstreamUnavailableError
from macroslow.images.search import (
    Allowance,
    Answered,
    HotLink,
    Image,
    ImageQuery,
    LimitReachedError,
    Orientation,
)
from macroslow.workflow.outside import OutsideAnswer

JSON = "application/json"
SUNSET = ImageQuery("sunset")


@dataclass
class Api:
    """Answers what it is told to, and remembers what it was asked."""

    answer: OutsideAnswer = field(default_factory=lambda: OutsideAnswer(200, JSON, b'{"hits": []}'))
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)

    async def get(self, path: str, query: str) -> OutsideAnswer:
        self.asked.append((path, dict(parse_qsl(query, strict_parsing=True))))
        return self.answer


def hit(**changed: object) -> dict[str, Any]:
    return {
        "id": 195893,
        "pageURL": "https://pixabay.com/en/blossom-195893/",
        "tags": "blossom, bloom, flower",
        "previewURL": "https://cdn.pixabay.com/photo/2013/10/15/blossom-195893_150.jpg",
        "webformatURL": "https://pixabay.com/get/35bbf209e13e39d2_640.jpg",
        "largeImageURL": "https://pixabay.com/get/ed6a99fd0a76647_1280.jpg",
        "imageWidth": 4000,
        "imageHeight": 2250,
        "user_id": 48777,
        "user": "Josch13",
        **changed,
    }


def found(*hits: object, **headers: str) -> OutsideAnswer:
    body = orjson.dumps({"total": 4692, "totalHits": 500, "hits": list(hits)})
    return OutsideAnswer(200, JSON, body, {name.replace("_", "-"): value for name, value in headers.items()})


async def search(answer: OutsideAnswer, query: ImageQuery = SUNSET, **more: Any) -> Answered:
    return await Pixabay(Api(answer), **more).search(query)


async def images(*hits: object) -> tuple[Image, ...]:
    answered = await search(found(*hits))
    assert answered.found is not None
    assert answered.found.left_out == len(hits) - len(answered.found.images)
    return answered.found.images


async def test_a_search_is_asked_in_pixabays_words() -> None:
    api = Api()
    await Pixabay(api).search(ImageQuery("big sky", Orientation.PORTRAIT, count=5, page=2, safe=False))
    await Pixabay(api).search(ImageQuery("sunset", Orientation.LANDSCAPE))
    asked = {"q": "big sky", "page": "2", "per_page": "5", "safesearch": "false", "orientation": "vertical"}
    assert api.asked[0] == ("/api/", asked)
    assert api.asked[1][1]["orientation"] == "horizontal"
    assert api.asked[1][1]["safesearch"] == "true"


async def test_an_image_has_its_addresses_for_a_day_and_its_source() -> None:
    (one,) = await images(hit())
    assert one.id == "195893"
    assert one.urls.small == "https://pixabay.com/get/35bbf209e13e39d2_640.jpg"
    assert one.author.url == "https://pixabay.com/users/Josch13-48777/"
    assert one.attribution.text == "Image by Josch13 from Pixabay"
    assert one.attribution.html == (
        'Image by <a href="https://pixabay.com/users/Josch13-48777/">Josch13</a>'
        ' from <a href="https://pixabay.com/">Pixabay</a>'
    )
    assert (one.description, one.width, one.height) == ("blossom, bloom, flower", 4000, 2250)
    assert one.trace is None, "no use is told"
    assert Pixabay(Api()).terms.hotlink is HotLink.DAY


async def test_nobody_tells_pixabay_of_a_use() -> None:
    with pytest.raises(ValueError, match="no use"):
        await Pixabay(Api()).report_use("195893", "")


async def test_a_user_name_cannot_lead_elsewhere_or_break_out_of_the_link() -> None:
    (one,) = await images(hit(user='../"><script>@evil.example/\u202e'))
    assert one.author.url.startswith("https://pixabay.com/users/..%2F%22%3E%3Cscript%3E%40evil.example%2F-")
    assert "<script>" not in one.attribution.html


@pytest.mark.parametrize("name", ["previewURL", "webformatURL", "largeImageURL", "pageURL"])
@pytest.mark.parametrize(
    "address",
    [
        "javascript:alert(1)",
        "http://pixabay.com/get/1.jpg",
        "https://pixabay.com.evil.example/get/1.jpg",
        "https://key@pixabay.com/get/1.jpg",
        "https://pixabay.com:444/get/1.jpg",
        None,
        {},
    ],
)
async def test_an_image_at_any_other_address_is_left_out(name: str, address: object) -> None:
    assert await images(hit(**{name: address}), hit()) == await images(hit())


@pytest.mark.parametrize(
    "changed",
    [
        {"id": "195893"},
        {"id": -1},
        {"id": 10**17},
        {"id": 1.5},
        {"imageWidth": 0},
        {"imageHeight": None},
        {"user_id": "48777"},
    ],
)
async def test_an_image_that_is_not_in_order_is_left_out(changed: dict[str, object]) -> None:
    assert await images(hit(**changed)) == ()


async def test_a_page_after_the_last_is_empty() -> None:
    beyond = OutsideAnswer(400, "text/html", b'[ERROR 400] "page" is out of valid range.')
    answered = await search(beyond, ImageQuery("sunset", page=16))
    assert answered.found is not None
    assert answered.found.images == ()
    with pytest.raises(UpstreamRefusedError):
        await search(beyond, ImageQuery("sunset", page=1))


async def test_a_bad_key_is_not_quoted() -> None:
    with pytest.raises(UpstreamRefusedError) as refused:
        await search(OutsideAnswer(400, "text/html", b"[ERROR 400] Invalid or missing API key 123-abc"))
    assert "123-abc" not in refused.value.detail + refused.value.fix + refused.value.reason
    assert "images.pixabay" in refused.value.fix


async def test_its_limit_says_until_when() -> None:
    headers = {"x-ratelimit-limit": "100", "x-ratelimit-remaining": "0", "x-ratelimit-reset": "31"}
    with pytest.raises(LimitReachedError) as reached:
        await search(OutsideAnswer(429, "text/html", b"[ERROR 429]", headers))
    assert reached.value.allowance == Allowance(100, 0, 31)


@pytest.mark.parametrize("reset", ["", "-1", "1e9", "99999999", "soon"])
async def test_a_moment_that_cannot_be_is_not_learned(reset: str) -> None:
    answer = found(x_ratelimit_limit="100", x_ratelimit_remaining="99", x_ratelimit_reset=reset)
    assert (await search(answer)).allowance == Allowance(100, 99, None)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"hits": 1}', b'{"hits": {"0": 1}}'])
async def test_garbage_is_an_upstream_that_fails(body: bytes) -> None:
    with pytest.raises(UpstreamUnavailableError):
        await search(OutsideAnswer(200, JSON, body))


async def test_an_emulator_is_refused_unless_the_operator_said_so() -> None:
    with pytest.raises(UpstreamUnavailableError, match="emulator"):
        await search(found(x_macroslow_emulator="1"))
