"""Searching the log: whoever looks page by page finds what a look at everything would."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.contract.fake_books import FakeBooks
from tests.services.shelf import CHAT, KEY, REFUSED, Shelf

from macroslow.errors import BadRequestError
from macroslow.services.audit import search_log
from macroslow.services.audit.search_log import Search, SearchLog
from macroslow.services.audit.tell_entry import TYPES, told, types_named
from macroslow.tlog.event import EventType, PersonFields, name_of
from macroslow.workflow.books import Wanted


async def all_pages(shelf: Shelf, search: Search, limit: int) -> list[int]:
    found: list[int] = []
    at: int | None = 0
    while at is not None:
        page = await SearchLog(shelf.books)(search, at, limit)
        assert len(page.entries) <= limit
        found += [entry.index for entry in page.entries]
        at = page.next
    return found


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from([CHAT, KEY, REFUSED])), max_size=30),
    st.sampled_from([None, "a", "b", "z"]),
    st.sets(st.sampled_from([CHAT, KEY])),
    st.integers(1, 7),
    st.integers(1, 5),
)
async def test_pages_of_any_size_hold_what_fits_in_order(
    logged: list[tuple[str, EventType]],
    subject: str | None,
    types: set[EventType],
    limit: int,
    piece: int,
) -> None:
    shelf = Shelf(FakeBooks())
    for name, each in logged:
        await shelf.did(name, each, request_id=name * 2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(search_log, "PIECE", piece)
        wanted = Wanted(subject, frozenset(map(int, types)))
        fits = [
            index
            for index, (name, each) in enumerate(logged)
            if subject in (None, name) and (not types or each in types)
        ]
        assert await all_pages(shelf, Search(wanted), limit) == fits
        ours = [index for index in fits if logged[index][0] == "a"]
        assert await all_pages(shelf, Search(wanted, request_id="aa"), limit) == ours
        assert await all_pages(shelf, Search(wanted, words=("AA",)), limit) == ours


async def test_words_are_found_in_any_case_in_what_an_entry_says_and_all_of_them(shelf: Shelf) -> None:
    await shelf.did("Zoë", CHAT, model="GPT-4o", note='a "quoted" word')
    await shelf.did("bob", KEY, note="Straße", others=(PersonFields("carol", {"by": "k77"}),))
    for words, found in (
        (("zoË",), [0]),
        (("gpt-4o", "quoted"), [0]),
        (("gpt-4o", "bob"), []),
        (("STRASSE",), [1]),
        (("k77",), [1]),
        (("carol",), [1]),
        (("key-created",), [1]),
        (("subject",), []),
    ):
        assert await all_pages(shelf, Search(Wanted(), words=words), 10) == found, words


async def test_what_was_erased_is_found_by_its_row_and_by_no_word(shelf: Shelf) -> None:
    await shelf.did("ann", KEY, CHAT, request_id="r1")
    await shelf.erase("ann", "")
    assert await all_pages(shelf, Search(Wanted(subject="ann", types=frozenset({CHAT}))), 10) == [1]
    assert await all_pages(shelf, Search(Wanted(), request_id="r1"), 10) == [0]
    page = await SearchLog(shelf.books)(Search(Wanted(subject="ann")), 0, 10)
    shown = told(page.entries[1])
    assert (shown["fields"], shown["erased_by"], shown["type"]) == (None, 2, "chat-completed")


async def test_times_are_from_and_before(shelf: Shelf) -> None:
    for _ in range(4):
        await shelf.did("ann")
        await shelf.pass_days(1)
    times = [one.time_ns for one in await shelf.books.entries(0, 9)]
    wanted = Wanted(from_ns=times[1], until_ns=times[3])
    assert await all_pages(shelf, Search(wanted), 10) == [1, 2]


async def test_a_page_is_bounded_in_bytes_too(shelf: Shelf, monkeypatch) -> None:
    monkeypatch.setattr(search_log, "MAX_PAGE_BYTES", 1900)
    for _ in range(5):
        await shelf.did("ann", text="x" * 900)
    page = await SearchLog(shelf.books)(Search(Wanted()), 0, 1000)
    assert (len(page.entries), page.next, page.size) == (2, 2, 5)


async def test_progress_goes_up_to_the_size_of_the_log(shelf: Shelf, monkeypatch) -> None:
    monkeypatch.setattr(search_log, "PIECE", 3)
    for _ in range(10):
        await shelf.did("ann")
    heard: list[tuple[int, int]] = []
    await SearchLog(shelf.books)(
        Search(Wanted(), request_id="x"), 0, 5, lambda done, of: heard.append((done, of))
    )
    assert heard[-1] == (10, 10)
    assert heard == sorted(heard)
    assert len(heard) > 2


def test_every_type_has_a_name_and_a_typo_is_told_what_may_be_meant() -> None:
    assert {name_of(each): each for each in EventType} == TYPES
    assert types_named([]) == frozenset()
    assert types_named(TYPES) == frozenset(map(int, EventType))
    meant_by = {
        "key-create": "mean key-created?",
        "chat": "mean chat-completed or chat-unknown?",
        "KEY-CREATED": "mean key-created?",
        "run-acepted": "run-accepted",
        "": "one of: ",
        "xyz": "one of: ",
    }
    for typo, meant in meant_by.items():
        with pytest.raises(BadRequestError) as refused:
            types_named(["jwt-revoked", typo])
        assert meant in refused.value.fix
        assert typo in refused.value.detail
