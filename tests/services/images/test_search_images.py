"""Searching and using images: within limits, logged, cached, and told once."""

import asyncio
import hashlib
import json
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from tests.contract.fake_books import FakeBooks
from tests.machine import SetClock
from tests.services.images.test_image_cache import IMAGE

from macroslow.authn.principal import Principal
from macroslow.errors import (
    LogUnavailableError,
    MacroslowError,
    NotFoundError,
    RateLimitedError,
    UpstreamRefusedError,
    UpstreamUnavailableError,
)
from macroslow.images.search import (
    Allowance,
    Answered,
    FoundImages,
    HotLink,
    ImageQuery,
    ImageTerms,
    LimitReachedError,
)
from macroslow.ports import DAY_NS, NS_PER_S
from macroslow.services.images.ask_provider import AskProvider
from macroslow.services.images.image_cache import ImageCache
from macroslow.services.images.image_ids import ImageIds
from macroslow.services.images.provider_rate import ProviderRate
from macroslow.services.images.search_images import Images, SearchImages
from macroslow.services.images.use_image import UseImage
from macroslow.tlog.event import EventType

ANN = Principal("ann", "key/ann", "ann0")
BOB = Principal("bob", "key/bob", "bob0")
SUNSET = ImageQuery("sunset")


@dataclass
class Provider:
    """Finds one image, or fails as it is told to; remembers what it was asked."""

    name: str
    terms: ImageTerms
    trace: str | None
    emulator: bool = False
    says: Allowance | None = None
    fails: Exception | None = None
    hold: asyncio.Event | None = None
    asked: list[object] = field(default_factory=list)

    async def search(self, query: ImageQuery) -> Answered:
        await self._ask(query)
        return Answered(FoundImages((replace(IMAGE, trace=self.trace),), 7), self.says)

    async def report_use(self, image_id: str, trace: str) -> Answered:
        await self._ask((image_id, trace))
        return Answered(None, None)

    async def _ask(self, what: object) -> None:
        self.asked.append(what)
        if self.hold is not None:
            await self.hold.wait()
        if self.fails is not None:
            raise self.fails


@dataclass
class House:
    clock: SetClock = field(default_factory=SetClock)
    books: FakeBooks = field(default_factory=FakeBooks)
    unsplash: Provider = field(
        default_factory=lambda: Provider(
            "unsplash", ImageTerms("https://u.example/license", HotLink.REQUIRED, 50, 3600), "M3"
        )
    )
    pixabay: Provider = field(
        default_factory=lambda: Provider(
            "pixabay", ImageTerms("https://p.example/license", HotLink.DAY, 100, 60), None
        )
    )

    def __post_init__(self) -> None:
        asks = {
            api.name: AskProvider(api, ProviderRate(api.name, api.terms, self.clock), self.books, self.clock)
            for api in (self.unsplash, self.pixabay)
        }
        ids = ImageIds.of(b"pepper" * 6)
        self.images = Images(
            SearchImages(asks, ImageCache(self.clock), ids), UseImage(asks, ids, self.books, self.clock)
        )

    async def search(self, principal: Principal = ANN, query: ImageQuery = SUNSET, **more: str) -> Any:
        return await self.images.search(principal, query, request_id="r1", **more)

    async def use(self, principal: Principal, image_id: str) -> Any:
        return await self.images.use(principal, image_id, request_id="r2")

    async def logged(self) -> list[dict[str, Any]]:
        entries = [json.loads(one.event) for one in await self.books.entries(0, 1000) if one.event]
        assert {one["type"] for one in entries} <= {EventType.IMAGES_CALLED}
        return [one["fields"] for one in entries]


@pytest.fixture
def house() -> House:
    return House()


async def test_a_search_tells_images_with_their_terms_and_is_logged_without_its_words(house: House) -> None:
    assert house.images.providers == ("unsplash", "pixabay")
    told = await house.search()
    (image,) = told.pop("images")
    assert told == {"provider": "unsplash", "total": 7, "page": 1, "cached": False, "left_out": 0}
    assert image.pop("id").startswith("unsplash:1:M3:")
    assert image == {
        "provider": "unsplash",
        "description": "",
        "width": 1,
        "height": 1,
        "urls": {"thumb": "a", "small": "b", "regular": "c"},
        "author": {"name": "Ann", "url": "u"},
        "attribution": {"text": "by Ann", "html": "by Ann"},
        "page_url": "p",
        "license": "https://u.example/license",
        "terms": {"hotlink": "required", "urls_valid_until": None, "report_use": True},
    }
    assert await house.logged() == [
        {
            "request_id": "r1",
            "principal": "ann",
            "key_id": "ann0",
            "provider": "unsplash",
            "operation": "search",
            "query_sha256": hashlib.sha256(b"sunset").hexdigest(),
            "image": "",
            "outcome": "ok",
            "images": 1,
            "emulator": False,
        }
    ]


async def test_the_same_search_costs_nothing_for_a_day_whoever_makes_it(house: House) -> None:
    first = await house.search()
    house.clock.time_ns += DAY_NS - 1
    again = await house.search(BOB)
    assert (again["cached"], len(house.unsplash.asked), len(await house.logged())) == (True, 1, 1)
    assert again["images"][0]["id"] != first["images"][0]["id"], "each has ids of their own"
    house.clock.time_ns += 1
    assert not (await house.search())["cached"]


async def test_addresses_for_a_day_are_told_until_when_counted_from_their_coming(house: House) -> None:
    ends = "2025-10-10T08:53:20+00:00"  # a day after the clock's moment
    for _ in range(2):
        (image,) = (await house.search(provider="pixabay"))["images"]
        assert image["terms"] == {"hotlink": "24h", "urls_valid_until": ends, "report_use": False}
        house.clock.time_ns += DAY_NS // 2


async def test_the_same_search_at_once_is_one_request(house: House) -> None:
    house.unsplash.hold = asyncio.Event()
    tasks = [asyncio.create_task(house.search(who)) for who in (ANN, BOB, ANN)]
    while not house.unsplash.asked:
        await asyncio.sleep(0)
    house.unsplash.hold.set()
    told = await asyncio.gather(*tasks)
    assert (len(house.unsplash.asked), len(house.pixabay.asked)) == (1, 0)
    assert sorted(one["cached"] for one in told) == [False, True, True]


async def test_who_waits_for_a_search_that_fails_makes_it_himself(house: House) -> None:
    house.unsplash.hold = asyncio.Event()
    first = asyncio.create_task(house.search(provider="unsplash"))
    while not house.unsplash.asked:
        await asyncio.sleep(0)
    second = asyncio.create_task(house.search(BOB, provider="unsplash"))
    await asyncio.sleep(0)
    first.cancel()
    house.unsplash.hold.set()
    assert (await second)["cached"] is False
    assert [one["outcome"] for one in await house.logged()] == ["unknown", "ok"]


FAILURES = [
    LimitReachedError(Allowance(50, 0)),
    UpstreamUnavailableError("gone", upstream="unsplash"),
    UpstreamRefusedError("no", upstream="unsplash", status=401),
]


@pytest.mark.parametrize("failure", FAILURES, ids=range(3))
async def test_any_provider_is_the_next_where_one_fails(house: House, failure: Exception) -> None:
    house.unsplash.fails = failure
    assert (await house.search())["provider"] == "pixabay"
    outcomes = [(one["provider"], one["outcome"]) for one in await house.logged()]
    code = failure.code if isinstance(failure, MacroslowError) else "rate-limited"
    assert outcomes == [("unsplash", code), ("pixabay", "ok")]
    with pytest.raises(MacroslowError):
        await house.search(query=ImageQuery("other"), provider="unsplash")


async def test_any_provider_is_whoever_found_it_in_the_last_day(house: House) -> None:
    await house.search(provider="pixabay")
    assert (await house.search())["provider"] == "pixabay"
    assert house.unsplash.asked == []


async def test_the_refusal_that_ends_first_is_told(house: House) -> None:
    house.unsplash.fails = LimitReachedError(Allowance(50, 0, 900))
    house.pixabay.fails = LimitReachedError(Allowance(100, 0, 17))
    with pytest.raises(RateLimitedError) as refused:
        await house.search()
    assert refused.value.retry_after_s == 17


async def test_beyond_the_limit_nobody_is_asked_and_nothing_is_logged(house: House) -> None:
    rate = house.images.use.providers["unsplash"].rate
    rate.over(rate.take(), Allowance(50, 1, 60))
    await house.search(provider="unsplash")
    for _ in range(3):
        with pytest.raises(RateLimitedError):
            await house.search(query=ImageQuery("other"), provider="unsplash")
    assert (house.unsplash.asked, len(await house.logged())) == ([SUNSET], 1)
    assert (await house.search(provider="unsplash"))["cached"], "which is free"


async def test_a_provider_that_is_not_there_is_not_found(house: House) -> None:
    with pytest.raises(NotFoundError, match="flickr") as refused:
        await house.search(provider="flickr")
    assert "any, unsplash, pixabay" in refused.value.fix


async def test_what_cannot_be_logged_is_not_told(house: House) -> None:
    house.books.fail_next_commit = True
    with pytest.raises(LogUnavailableError):
        await house.search()


async def test_a_use_is_told_once_in_a_day_for_each_principal(house: House) -> None:
    anns = (await house.search(ANN))["images"][0]["id"]
    bobs = (await house.search(BOB))["images"][0]["id"]
    house.unsplash.asked.clear()
    assert await house.use(ANN, anns) == {
        "id": anns,
        "provider": "unsplash",
        "reported": True,
        "first": True,
    }
    assert (await house.use(ANN, anns))["first"] is False
    assert (await house.use(BOB, bobs))["first"] is True
    assert house.unsplash.asked == [("1", "M3"), ("1", "M3")]
    entry = (await house.logged())[-1]
    assert (entry["principal"], entry["operation"], entry["image"]) == ("bob", "use", "1")
    assert entry["query_sha256"] == ""
    house.clock.time_ns += DAY_NS
    assert (await house.use(ANN, anns))["first"] is True


async def test_nobody_tells_of_what_he_did_not_find(house: House) -> None:
    anns = (await house.search(ANN))["images"][0]["id"]
    house.unsplash.asked.clear()
    for principal, text in ((BOB, anns), (ANN, "unsplash:1:M3:AAAAAAAAAAAAAAAA"), (ANN, "https://u.example")):
        with pytest.raises(NotFoundError):
            await house.use(principal, text)
    assert house.unsplash.asked == []


async def test_a_provider_that_wants_no_report_gets_none(house: House) -> None:
    image_id = (await house.search(provider="pixabay"))["images"][0]["id"]
    told = await house.use(ANN, image_id)
    assert (told["reported"], len(house.pixabay.asked)) == (False, 1)


@pytest.mark.parametrize("failure", FAILURES, ids=range(3))
async def test_a_report_that_failed_may_be_made_again(house: House, failure: Exception) -> None:
    image_id = (await house.search())["images"][0]["id"]
    house.unsplash.fails = failure
    with pytest.raises(MacroslowError):
        await house.use(ANN, image_id)
    house.unsplash.fails = None
    house.clock.time_ns += 3600 * NS_PER_S
    assert (await house.use(ANN, image_id))["first"] is True


async def test_a_report_for_which_there_is_no_room_may_be_made_later(house: House) -> None:
    image_id = (await house.search())["images"][0]["id"]
    rate = house.images.use.providers["unsplash"].rate
    rate.over(rate.take(), Allowance(50, 0, 60))
    with pytest.raises(RateLimitedError) as refused:
        await house.use(ANN, image_id)
    house.clock.time_ns += int(refused.value.retry_after_s * NS_PER_S)
    assert (await house.use(ANN, image_id))["first"] is True


async def test_a_report_that_is_cut_off_may_be_made_again(house: House) -> None:
    image_id = (await house.search())["images"][0]["id"]
    house.unsplash.asked.clear()
    house.unsplash.hold = asyncio.Event()
    gone = asyncio.create_task(house.use(ANN, image_id))
    while not house.unsplash.asked:
        await asyncio.sleep(0)
    gone.cancel()
    await asyncio.wait({gone})
    assert gone.cancelled()
    assert (await house.logged())[-1]["outcome"] == "unknown"
    house.unsplash.hold.set()
    assert (await house.use(ANN, image_id))["first"] is True
