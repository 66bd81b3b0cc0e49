"""A day in memory, and no more memory than that was given."""

import asyncio
from dataclasses import replace

from tests.machine import SetClock

from macroslow.images.search import Addresses, Attribution, Author, FoundImages, Image, ImageQuery
from macroslow.ports import DAY_NS
from macroslow.services.images.image_cache import ImageCache

IMAGE = Image(
    "1", "", 1, 1, Addresses("a", "b", "c"), Author("Ann", "u"), Attribution("by Ann", "by Ann"), "p", None
)
ONE = FoundImages((IMAGE,), 1)
KEY = ("pixabay", ImageQuery("sunset"))


def key(number: int) -> tuple[str, ImageQuery]:
    return "pixabay", ImageQuery("sunset", page=number)


def test_what_was_found_is_there_for_a_day_and_not_longer() -> None:
    clock = SetClock()
    cache = ImageCache(clock)
    kept = cache.put(KEY, ONE)
    clock.time_ns += DAY_NS - 1
    assert cache.get(KEY) == kept
    clock.time_ns += 1
    assert cache.get(KEY) is None


def test_another_provider_or_another_search_is_another_answer() -> None:
    cache = ImageCache(SetClock())
    cache.put(KEY, ONE)
    assert cache.get(("unsplash", KEY[1])) is None
    assert cache.get(("pixabay", replace(KEY[1], safe=False))) is None


def test_the_answer_unused_for_longest_makes_room() -> None:
    cache = ImageCache(SetClock(), max_entries=2)
    cache.put(key(1), ONE)
    cache.put(key(2), ONE)
    cache.get(key(1))
    cache.put(key(3), ONE)
    assert [cache.get(key(number)) is not None for number in (1, 2, 3)] == [True, False, True]


def test_bytes_are_bounded_whatever_is_found() -> None:
    large = FoundImages((replace(IMAGE, description=300 * "😀"),) * 30, 30)
    cache = ImageCache(SetClock(), max_bytes=200_000)
    for number in range(1, 17):
        cache.put(key(number), large)
    held = [number for number in range(1, 17) if cache.get(key(number))]
    assert held == list(range(17 - len(held), 17)), "the newest"
    assert 1 <= len(held) <= 3


def test_what_is_replaced_or_has_ended_takes_no_room() -> None:
    clock = SetClock()
    cache = ImageCache(clock, max_bytes=12_000)
    for _ in range(100):
        cache.put(KEY, ONE)
        clock.time_ns += DAY_NS
        cache.get(KEY)
    cache.put(key(2), ONE)
    cache.put(key(3), ONE)
    assert cache.get(key(2))


async def test_one_at_a_time_asks_for_the_same() -> None:
    cache = ImageCache(SetClock())
    order: list[str] = []

    async def ask(name: str, wanted: tuple[str, ImageQuery]) -> None:
        async with cache.asking(wanted):
            order.append(f"{name} in")
            await asyncio.sleep(0)
            order.append(f"{name} out")

    await asyncio.gather(ask("a", key(1)), ask("b", key(1)))
    assert order == ["a in", "a out", "b in", "b out"]
    order.clear()
    await asyncio.gather(ask("a", key(1)), ask("b", key(2)))
    assert order == ["a in", "b in", "a out", "b out"]
