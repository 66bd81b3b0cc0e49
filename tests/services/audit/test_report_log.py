"""Reports: what is there and what is not, counted from what opened entries say."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.contract.fake_books import FakeBooks
from tests.services.shelf import CHAT, KEY, NOW_NS, REFUSED, Shelf

from macroslow.errors import BadRequestError, VerificationError
from macroslow.ports import DAY_NS
from macroslow.services.audit import report_log
from macroslow.services.audit.report_log import Asked, ReportLog
from macroslow.services.verbs import MAX_TIME_NS, utc
from macroslow.tlog.checkpoint import Checkpoint
from macroslow.tlog.event import EventClass, EventType, PersonFields
from macroslow.workflow.books import LoggedEvent


async def state(shelf: Shelf) -> Checkpoint:
    """As a checkpoint of now, whose signature was found good."""
    head = await shelf.books.head()
    return Checkpoint("tests.example/log", head.size, head.root, NOW_NS // 10**9)


async def report(shelf: Shelf, subject: str, since: Checkpoint | None = None, **times: int) -> Any:
    asked = Asked(subject, times.get("from_ns", 0), times.get("until_ns", MAX_TIME_NS))
    return await ReportLog(shelf.books)(asked, since, await state(shelf))


async def test_presence_is_counted_by_type_with_the_first_and_the_last(shelf: Shelf) -> None:
    await shelf.did("bob", CHAT)
    await shelf.did("ann", KEY, CHAT)
    await shelf.pass_days(1)
    await shelf.did("ann", CHAT)
    found = await report(shelf, "ann")
    assert (found["entries"], found["looked_at"], found["opened"]) == (3, 4, 4)
    assert list(found["by_type"]) == ["chat-completed", "key-created"]
    assert found["by_type"]["chat-completed"] == {
        "entries": 2,
        "first_index": 2,
        "first_at": utc(NOW_NS),
        "last_index": 3,
        "last_at": utc(NOW_NS + DAY_NS),
    }
    assert (found["after"], found["up_to"]["size"]) == (None, 4)
    assert found["up_to"]["root_sha256"] == (await shelf.books.head()).root.hex()


async def test_absence_is_said_of_what_was_read_and_what_nobody_can_read_is_said_too(shelf: Shelf) -> None:
    shelf.hold_days = dict.fromkeys(EventClass, 0)
    await shelf.did("bob", CHAT, CHAT)
    await shelf.did("eve", CHAT)
    await shelf.erase("eve", "")
    found = await report(shelf, "ann")
    assert (found["entries"], found["by_type"], found["erased"], found["erasures"]) == (0, {}, 0, [])
    assert (found["looked_at"], found["opened"]) == (4, 3)
    assert (found["others_erased"], found["others_erased_as"]) == (1, [3])
    gone = await report(shelf, "eve")
    assert (gone["entries"], gone["erased"], gone["others_erased"]) == (0, 0, 1)


async def test_an_erasure_under_way_is_named_with_what_is_held(shelf: Shelf) -> None:
    await shelf.did("ann", KEY, CHAT, CHAT)
    erased = await shelf.erase("ann", "ticket 7")
    found = await report(shelf, "ann")
    assert (found["entries"], found["erased"]) == (1, 2)
    assert found["erased_by_type"]["chat-completed"]["entries"] == 2
    (told,) = found["erasures"]
    assert (told["index"], told["entries_here"], told["reason"]) == (3, 2, "ticket 7")
    assert (told["held"], told["held_until"]) == ({"key-created": 1}, erased["held_until"])
    assert found["mentioned_by_type"]["subject-erased"]["entries"] == 1


async def test_who_was_erased_is_reported_on_by_the_pseudonym(shelf: Shelf) -> None:
    shelf.hold_days = dict.fromkeys(EventClass, 0)
    await shelf.did("ann", KEY, CHAT)
    erased = await shelf.erase("ann", "")
    found = await report(shelf, str(erased["pseudonym"]))
    assert (found["entries"], found["erased"]) == (0, 2)
    assert [one["index"] for one in found["erasures"]] == [2]


async def test_entries_about_others_that_mention_one_are_counted_apart(shelf: Shelf) -> None:
    shelf.hold_days = dict.fromkeys(EventClass, 0)
    await shelf.did("bob", EventType.KEY_CHANGED, others=(PersonFields("ann", {"by": "k1"}),))
    found = await report(shelf, "ann")
    assert (found["entries"], found["mentioned"]) == (0, 1)
    assert found["mentioned_by_type"]["key-changed"]["first_index"] == 0
    assert (await report(shelf, "bob"))["erased_parts"] == 0
    await shelf.erase("ann", "")
    after = await report(shelf, "bob")
    assert (after["entries"], after["erased_parts"]) == (1, 1)


async def test_a_range_begins_after_one_checkpoint_and_ends_with_another(shelf: Shelf) -> None:
    await shelf.did("ann", CHAT)
    since = await state(shelf)
    await shelf.did("ann", KEY, CHAT)
    until = await state(shelf)
    await shelf.did("ann", REFUSED)
    asked = Asked("ann", 0, MAX_TIME_NS)
    found: Any = await ReportLog(shelf.books)(asked, since, until)
    assert list(found["by_type"]) == ["chat-completed", "key-created"]
    assert (found["entries"], found["looked_at"]) == (2, 2)
    assert (found["after"]["size"], found["up_to"]["size"]) == (1, 3)
    with pytest.raises(BadRequestError, match="ends before it begins"):
        await ReportLog(shelf.books)(asked, until, since)


async def test_times_bound_what_is_looked_at(shelf: Shelf) -> None:
    for _ in range(4):
        await shelf.did("ann")
        await shelf.pass_days(1)
    found = await report(shelf, "ann", from_ns=NOW_NS + DAY_NS, until_ns=NOW_NS + 3 * DAY_NS)
    assert (found["entries"], found["looked_at"]) == (2, 2)
    assert (found["from"], found["to"]) == (utc(NOW_NS + DAY_NS), utc(NOW_NS + 3 * DAY_NS))


async def test_a_checkpoint_of_another_log_is_no_bound_of_this_one(shelf: Shelf) -> None:
    await shelf.did("ann", CHAT, CHAT)
    good = await state(shelf)
    other = Checkpoint(good.origin, 1, b"\1" * 32, good.time_s)
    larger = Checkpoint(good.origin, 3, good.root, good.time_s)
    asked = Asked("ann", 0, MAX_TIME_NS)
    for since, until in ((other, good), (None, larger), (None, Checkpoint(good.origin, 2, b"\1" * 32, 0))):
        with pytest.raises(VerificationError):
            await ReportLog(shelf.books)(asked, since, until)


async def test_an_entry_that_is_listed_under_another_name_is_no_absence(shelf: Shelf, monkeypatch) -> None:
    await shelf.did("ann", CHAT)
    real = shelf.books.find

    async def find(*arguments: Any) -> Any:
        found = await real(*arguments)
        one = found.entries[0]
        found.entries[0] = LoggedEvent(one.index, one.time_ns, one.type, "bob", one.event)
        return found

    monkeypatch.setattr(shelf.books, "find", find)
    with pytest.raises(VerificationError, match="entry 0 is listed under a name"):
        await report(shelf, "ann")


@settings(max_examples=20, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from([CHAT, KEY])), max_size=25), st.integers(1, 6)
)
async def test_the_counts_are_those_of_the_log_in_pieces_of_any_size(
    logged: list[tuple[str, EventType]], piece: int
) -> None:
    shelf = Shelf(FakeBooks())
    for name, each in logged:
        await shelf.did(name, each)
    heard: list[tuple[int, int]] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(report_log, "PIECE", piece)
        asked = Asked("a", 0, MAX_TIME_NS)
        found: Any = await ReportLog(shelf.books)(
            asked, None, await state(shelf), lambda done, of: heard.append((done, of))
        )
    chats = sum(1 for entry in logged if entry == ("a", CHAT))
    assert found["by_type"].get("chat-completed", {"entries": 0})["entries"] == chats
    assert found["looked_at"] == len(logged)
    if logged:
        assert heard[-1] == (len(logged), len(logged))
