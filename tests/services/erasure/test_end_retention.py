"""What was held goes when its time has come: after restarts, in steps, and from nobody who came back."""

import pytest
from tests.services.shelf import CHAT, KEY, REFUSED, Shelf

from macroslow.authn.principal import THE_GATEWAY
from macroslow.ports import DAY_NS, HOUR_NS
from macroslow.tlog.event import EventType


async def erasures(shelf: Shelf) -> list[dict[str, object]]:
    opened = await shelf.books.entries(0, 10_000)
    return [await shelf.told(one.index) for one in opened if one.type == EventType.SUBJECT_ERASED]


async def test_each_class_goes_in_its_time_and_the_last_takes_the_name(shelf: Shelf) -> None:
    await shelf.did("ann", KEY, REFUSED, CHAT)
    erased = await shelf.erase("ann", "")
    await shelf.pass_days(364)
    await shelf.look()
    assert len(await erasures(shelf)) == 1
    await shelf.pass_days(1)
    await shelf.look()
    _, second = await erasures(shelf)
    assert (second["classes"], second["by_type"], second["held"]) == (
        ["security"],
        {"refused": 1},
        {"key-created": 1},
    )
    assert (second["by"], second["pseudonym"]) == (THE_GATEWAY, erased["pseudonym"])
    assert await shelf.readable("ann") == [0]
    await shelf.pass_days(2190 - 365)
    await shelf.look()
    *_, third = await erasures(shelf)
    assert third["classes"] == ["administration", "security"]
    assert third["by_type"] == {"key-created": 1, "subject-erased": 2}
    assert (third["held"], third["held_until"]) == ({}, None)
    assert await shelf.names() == {erased["pseudonym"], THE_GATEWAY}
    await shelf.look()
    assert len(await erasures(shelf)) == 3


async def test_one_watch_goes_on_as_another_after_a_restart_would(shelf: Shelf) -> None:
    watch = shelf.watch
    await watch.look()  # an empty log
    await shelf.did("ann", KEY, REFUSED, CHAT)
    await shelf.look(watch)
    await shelf.erase("ann", "")
    for _ in range(8):
        await shelf.look(watch)
        await shelf.pass_days(365)
    assert len(await erasures(shelf)) == 3
    assert "ann" not in await shelf.names()


async def test_who_came_back_with_a_key_is_left_alone_until_it_ends(shelf: Shelf) -> None:
    await shelf.did("ann", REFUSED, CHAT)
    await shelf.erase("ann", "")
    await shelf.key("k1", "ann")
    await shelf.pass_days(400)
    watch = shelf.watch
    await shelf.look(watch)
    assert await shelf.readable("ann") == [0]
    await shelf.key("k1", "ann", revoked_ns=shelf.clock.now_ns())
    await shelf.look(watch)
    assert await shelf.readable("ann") == [0]  # it looks again in an hour
    await shelf.pass_days(1)
    await shelf.look(watch)
    assert await shelf.readable("ann") == []


async def test_new_activity_of_who_came_back_is_not_taken_by_the_end_of_the_old(shelf: Shelf) -> None:
    await shelf.did("ann", REFUSED)
    await shelf.erase("ann", "")
    again = await shelf.did("ann", CHAT)
    await shelf.pass_days(365)
    await shelf.look()
    assert await shelf.readable("ann") == [again]


async def test_what_is_newer_of_a_class_prolongs_what_is_held_of_it(shelf: Shelf) -> None:
    await shelf.did("ann", REFUSED)
    await shelf.erase("ann", "")
    await shelf.pass_days(300)
    await shelf.did("ann", REFUSED)
    await shelf.pass_days(100)
    await shelf.look()
    assert len(await shelf.readable("ann")) == 2
    await shelf.pass_days(265)
    await shelf.look()
    assert await shelf.readable("ann") == []


async def test_a_class_that_is_held_no_more_by_the_settings_goes_at_the_next_look(shelf: Shelf) -> None:
    await shelf.did("ann", KEY, REFUSED)
    await shelf.erase("ann", "")
    shelf.hold_days = {**shelf.hold_days, **dict.fromkeys(shelf.hold_days, 0)}
    await shelf.look()
    assert await shelf.readable("ann") == []
    assert "ann" not in await shelf.names()


@pytest.mark.parametrize("people", [40])
async def test_many_pending_erasures_are_each_completed(shelf: Shelf, people: int) -> None:
    for number in range(people):
        await shelf.did(f"p{number}", KEY, CHAT)
        await shelf.erase(f"p{number}", "")
        await shelf.pass_days(1)
    await shelf.pass_days(2190 - people // 2)
    await shelf.look()
    left = {name for name in await shelf.names() if name.startswith("p")}
    assert left == {f"p{number}" for number in range(people // 2 + 1, people)}


async def due(shelf: Shelf) -> None:
    """Something of ann's is held, and its time has come."""
    await shelf.did("ann", REFUSED)
    await shelf.erase("ann", "")


async def test_a_clock_that_jumps_ends_no_retention(shelf: Shelf) -> None:
    watch = shelf.watch
    await due(shelf)
    await shelf.look(watch)  # steady for a day
    right_ns = shelf.clock.time_ns
    shelf.clock.time_ns += 2500 * DAY_NS
    shelf.clock.ran_ns -= 2500 * DAY_NS
    await watch.look()
    await shelf.did("bob", CHAT)  # dated by the wrong clock as well
    for _ in range(23):
        shelf.clock.ran_ns += HOUR_NS
        await watch.look()
    assert await shelf.readable("ann") == [0]
    shelf.clock.ran_ns += shelf.clock.time_ns - right_ns
    shelf.clock.time_ns = right_ns
    await shelf.look(watch)
    assert await shelf.readable("ann") == [0]


async def test_a_start_with_a_clock_that_is_wrong_ends_none_for_a_day(shelf: Shelf) -> None:
    await due(shelf)
    await shelf.pass_days(2500)
    watch = shelf.watch
    await watch.look()  # the newest entry is years old
    await shelf.did(THE_GATEWAY, EventType.SERVER_STARTED)
    for _ in range(24):
        await watch.look()
        assert await shelf.readable("ann") == [0]
        shelf.clock.ran_ns += HOUR_NS
    await watch.look()
    assert await shelf.readable("ann") == []


async def test_days_without_use_end_none_until_the_log_goes_on(shelf: Shelf) -> None:
    watch = shelf.watch
    await due(shelf)
    await shelf.look(watch)
    for _ in range(365):
        await shelf.pass_days(1)
        await watch.look()
    assert await shelf.readable("ann") == [0]
    await shelf.look(watch)
    assert await shelf.readable("ann") == []


async def test_a_day_is_the_monotonic_clocks(shelf: Shelf) -> None:
    """Else a clock that is set forward by a day would make its own steadiness."""
    await due(shelf)
    await shelf.pass_days(365)
    watch = shelf.watch
    await shelf.did(THE_GATEWAY, EventType.SERVER_STARTED)
    await watch.look()
    shelf.clock.time_ns += 2 * DAY_NS
    shelf.clock.ran_ns -= 2 * DAY_NS
    await watch.look()
    assert await shelf.readable("ann") == [0]
