"""Tools for images: what the use cases do, in the tools' own schemas."""

import pytest
from tests.services.agents.asking import Use, calling
from tests.services.house import ANN, BOB
from tests.services.images.test_search_images import House as ImageHouse

from macroslow.errors import NotFoundError, UpstreamUnavailableError
from macroslow.services.agents.image_tools import ImageTools


@pytest.fixture
def images() -> ImageHouse:
    return ImageHouse()


@pytest.fixture
def use(images: ImageHouse) -> Use:
    return calling(ImageTools(images.images).handlers)


@pytest.mark.parametrize("provider", ["any", "unsplash", "pixabay"])
async def test_images_are_found_with_their_terms(use: Use, provider: str) -> None:
    found = await use("search_images", query="  Sunset ", provider=provider)
    assert found["provider"] == ("unsplash" if provider == "any" else provider)
    [image] = found["images"]
    assert image["attribution"]["text"] == "by Ann"


async def test_every_argument_reaches_the_search(images: ImageHouse, use: Use) -> None:
    asked = {"orientation": "portrait", "count": 30, "page": 16, "safe": False}
    await use("search_images", query="cats", provider="pixabay", **asked)
    [query] = images.pixabay.asked
    assert {name: getattr(query, name) for name in asked} == asked
    assert query.text == "cats"


async def test_a_use_is_told_once_where_the_provider_wants_it(images: ImageHouse, use: Use) -> None:
    for provider, reported in (("unsplash", True), ("pixabay", False)):
        [image] = (await use("search_images", query="cats", provider=provider))["images"]
        assert image["terms"]["report_use"] == reported
        told = await use("use_image", image_id=image["id"])
        assert (told["reported"], told["first"]) == (reported, True)
    [photo] = (await use("search_images", query="cats"))["images"]
    assert not (await use("use_image", image_id=photo["id"]))["first"]
    assert {one["request_id"] for one in await images.logged()} == {"r1"}


async def test_n18_anothers_image_is_like_none(use: Use) -> None:
    [image] = (await use("search_images", query="cats"))["images"]
    told = set()
    for principal, image_id in ((BOB, image["id"]), (ANN, "unsplash:x"), (ANN, "../x"), (ANN, "x" * 1000)):
        with pytest.raises(NotFoundError) as refused:
            await use("use_image", principal, image_id=image_id)
        told.add(refused.value.detail)
    assert len(told) == 1


async def test_a_provider_that_cannot_be_reached_is_an_error(images: ImageHouse, use: Use) -> None:
    images.unsplash.fails = UpstreamUnavailableError("gone", upstream="unsplash")
    with pytest.raises(UpstreamUnavailableError):
        await use("search_images", query="cats", provider="unsplash")
