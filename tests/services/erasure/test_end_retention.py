"""What was held goes when its time has come: after restarts, in steps, and from nobody who came back."""

import pytest
from tests.services.shelf import CHAT, KEY, REFUSED, Shelf

from macroslow.authn.principal import THE_GATEWAY
from macroslow.tlog.event import EventType


async def erasures(shelf: Shelf) -> list[dict[str, object]]:
    opened = await shelf.books.entries(0, 10_000)
    return [await shelf.told(one.index) for one in opened if one.type == EventType.SUBJECT_ERASED]


async def test_each_class_goes_in_its_time_and_the_last_takes_the_name(shelf: Shelf) -> None:
    await shelf.did("ann", KEY, REFUSED, CHAT)
    erased = await shelf.erase("ann", "")
    await shelf.pass_days(364)
    await shelf.watch.look()
    assert len(await erasures(shelf)) == 1
    await shelf.pass_days(1)
    await shelf.watch.look()
    _, second = await erasures(shelf)
    assert (second["classes"], second["by_type"], second["held"]) == (
        ["security"],
        {"refused": 1},
        {"key-created": 1},
    )
    assert (second["by"], second["pseudonym"]) == (THE_GATEWAY, erased["pseudonym"])
    assert await shelf.readable("ann") == [0]
    await shelf.pass_days(2190 - 365)
    await shelf.watch.look()
    *_, third = await erasures(shelf)
    assert third["classes"] == ["administration", "security"]
    assert third["by_type"] == {"key-created": 1, "subject-erased": 2}
    assert (third["held"], third["held_until"]) == ({}, None)
    assert await shelf.names() == {erased["pseudonym"], THE_GATEWAY}
    await shelf.watch.look()
    assert len(await erasures(shelf)) == 3


async def test_one_watch_goes_on_as_another_after_a_restart_would(shelf: Shelf) -> None:
    watch = shelf.watch
    await watch.look()  # an empty log
    await shelf.did("ann", KEY, REFUSED, CHAT)
    await watch.look()
    await shelf.erase("ann", "")
    for _ in range(8):
        await watch.look()
        await shelf.pass_days(365)
    assert len(await erasures(shelf)) == 3
    assert "ann" not in await shelf.names()


async def test_who_came_back_with_a_key_is_left_alone_until_it_ends(shelf: Shelf) -> None:
    await shelf.did("ann", REFUSED, CHAT)
    await shelf.erase("ann", "")
    await shelf.key("k1", "ann")
    await shelf.pass_days(400)
    watch = shelf.watch
    await watch.look()
    assert await shelf.readable("ann") == [0]
    await shelf.key("k1", "ann", revoked_ns=shelf.clock.now_ns())
    await watch.look()
    assert await shelf.readable("ann") == [0]  # it looks again in an hour
    await shelf.pass_days(1)
    await watch.look()
    assert await shelf.readable("ann") == []


async def test_new_activity_of_who_came_back_is_not_taken_by_the_end_of_the_old(shelf: Shelf) -> None:
    await shelf.did("ann", REFUSED)
    await shelf.erase("ann", "")
    again = await shelf.did("ann", CHAT)
    await shelf.pass_days(365)
    await shelf.watch.look()
    assert await shelf.readable("ann") == [again]


async def test_what_is_newer_of_a_class_prolongs_what_is_held_of_it(shelf: Shelf) -> None:
    await shelf.did("ann", REFUSED)
    await shelf.erase("ann", "")
    await shelf.pass_days(300)
    await shelf.did("ann", REFUSED)
    await shelf.pass_days(100)
    await shelf.watch.look()
    assert len(await shelf.readable("ann")) == 2
    await shelf.pass_days(265)
    await shelf.watch.look()
    assert await shelf.readable("ann") == []


async def test_a_class_that_is_held_no_more_by_the_settings_goes_at_the_next_look(shelf: Shelf) -> None:
    await shelf.did("ann", KEY, REFUSED)
    await shelf.erase("ann", "")
    shelf.hold_days = {**shelf.hold_days, **dict.fromkeys(shelf.hold_days, 0)}
    await shelf.watch.look()
    assert await shelf.readable("ann") == []
    assert "ann" not in await shelf.names()


@pytest.mark.parametrize("people", [40])
async def test_many_pending_erasures_are_each_completed(shelf: Shelf, people: int) -> None:
    for number in range(people):
        await shelf.did(f"p{number}", KEY, CHAT)
        await shelf.erase(f"p{number}", "")
        await shelf.pass_days(1)
    await shelf.pass_days(2190 - people // 2)
    await shelf.watch.look()
    left = {name for name in await shelf.names() if name.startswith("p")}
    assert left == {f"p{number}" for number in range(people // 2 + 1, people)}
