"""What every store of the books does about anchors, kept receipts, shared events, searching and erasure."""

import hashlib
import json
from dataclasses import replace

import pytest
from tests.contract.changes import accept, append, money, refusals, reserve, settle

from macroslow.errors import ConflictError, DecryptionFailedError
from macroslow.metering.ledger import OpenAccount
from macroslow.tlog.event import Event, EventClass, EventType, PersonFields
from macroslow.tlog.leaf import check_opening, check_parts, erased_bytes, leaf_hash, part_hashes
from macroslow.tlog.ports import (
    Append,
    Entry,
    EraseSubject,
    HeldEntry,
    KeepReceipt,
    Kept,
    StoreAnchor,
    StoreCheckpoint,
    TreeHead,
)
from macroslow.tlog.tree import root_of
from macroslow.workflow.books import Books, Change, Wanted
from macroslow.workflow.journal import PutObject
from macroslow.workflow.replies import BindId, ClaimReply, PutReply

ACTIVITY = frozenset({EventClass.ACTIVITY})
ADMINISTRATION = frozenset({EventClass.ADMINISTRATION})
ALL = frozenset(EventClass)
SAID = Append(Event(EventType.SUBJECT_ERASED, 9_000, "the-gateway", {"pseudonym": "erased-1"}))


def event(
    number: int, subject: str = "alice", kind: EventType = EventType.CHAT_COMPLETED, others: str = ""
) -> Append:
    """Event `number` of `kind`; `others` are names of further persons."""
    parts = tuple(PersonFields(name, {"by": name, "number": number}) for name in others.split())
    return Append(Event(kind, 1_000 + number, subject, {"number": number}, parts))


def changed(number: int, subject: str = "alice", others: str = "bob") -> Append:
    return event(number, subject, EventType.KEY_CHANGED, others)


def erase(entries: int, classes: frozenset[EventClass] = ALL, subject: str = "alice") -> EraseSubject:
    return EraseSubject(subject, classes, entries, "erased-1")


async def told(books: Books, start: int = 0) -> list[tuple[int, str, int | None, int | None]]:
    """Index, subject, number (None if it cannot be read) and what erased it, of all entries from `start`."""
    entries = await books.entries(start, 1_000)
    numbers = [json.loads(one.event)["fields"].get("number") if one.event else None for one in entries]
    return [
        (one.index, one.subject, number, one.erased_by) for one, number in zip(entries, numbers, strict=True)
    ]


async def indices(books: Books, wanted: Wanted, start: int = 0, limit: int = 1_000) -> list[int]:
    found = await books.find(wanted, start, limit)
    assert found.next is None
    return [one.index for one in found.entries]


class CosignedContract:
    async def test_a_checkpoint_with_more_signatures_takes_the_place_of_its_like(self, books: Books) -> None:
        await books.commit(append(), append())
        await books.commit(StoreCheckpoint(1, b"one"), StoreCheckpoint(2, b"two"))
        await books.commit(StoreCheckpoint(1, b"one, cosigned"))
        assert await books.checkpoint() == (2, b"two")
        await books.commit(StoreCheckpoint(2, b"two, cosigned"))
        assert await books.checkpoint() == (2, b"two, cosigned")


class AnchorContract:
    async def test_the_oldest_anchor_that_holds_an_entry_is_told_and_the_newest_of_all(
        self, books: Books
    ) -> None:
        assert await books.newest_anchor() is None
        assert await books.anchor(0) is None
        await books.commit(*(append(n) for n in range(6)))
        three, five = StoreAnchor(3, b"note 3", b"\0token 3"), StoreAnchor(5, b"note 5", b"token 5")
        await books.commit(five)
        await books.commit(three, StoreAnchor(5, b"later", b"later"))
        assert await books.newest_anchor() == five
        told_of = [await books.anchor(index) for index in (0, 2, 3, 4, 5, 99, -1)]
        assert told_of == [three, three, five, five, None, None, None]

    async def test_an_anchor_of_entries_that_are_not_committed_is_refused(self, books: Books) -> None:
        await books.commit(append())
        for size in (2, -1):
            with pytest.raises(ValueError):
                await books.commit(append(), StoreAnchor(size, b"", b""))
        assert (await books.head()).size == 1


def keep(name: str = "r1", principal: str = "alice", expires_ns: int = 5_000) -> KeepReceipt:
    return KeepReceipt(name, principal, expires_ns)


class KeptReceiptContract:
    async def test_a_kept_receipt_names_the_entry_before_it(self, books: Books) -> None:
        await books.commit(append())
        await books.commit(append(), event(1), keep("r1"), append(), keep("r2", "bob"))
        assert await books.kept_receipt("r1") == Kept("alice", 2, 5_000)
        assert await books.kept_receipt("r2") == Kept("bob", 3, 5_000)
        assert await books.kept_receipt("R1") is None

    async def test_without_an_entry_before_it_there_is_nothing_to_keep(self, books: Books) -> None:
        await books.commit(append())
        with pytest.raises(ValueError):
            await books.commit(keep(), append())
        assert (await books.head()).size == 1
        assert await books.kept_receipt("r1") is None

    async def test_a_request_is_its_principals_until_it_expires(self, books: Books) -> None:
        await books.commit(event(0), keep())
        await books.commit(event(1), keep(expires_ns=6_000))
        assert await books.kept_receipt("r1") == Kept("alice", 1, 6_000)
        with pytest.raises(ConflictError):
            await books.commit(event(2), keep(principal="mallory"))
        assert await books.kept_receipt("r1") == Kept("alice", 1, 6_000)
        await books.commit(event(5_000), keep(principal="bob", expires_ns=9_000))
        assert await books.kept_receipt("r1") == Kept("bob", 2, 9_000)

    async def test_one_of_two_principals_at_once_keeps_it(self, books: Books) -> None:
        refused = await refusals(books.commit(event(n), keep(principal=f"p{n}")) for n in range(8))
        assert [type(error) for error in refused] == [ConflictError] * 7
        kept = await books.kept_receipt("r1")
        assert kept is not None
        assert kept.index == 0
        assert (await books.head()).size == 1

    async def test_each_kept_receipt_takes_expired_ones_along(self, books: Books) -> None:
        for n in range(20):
            await books.commit(event(n), keep(f"old{n}", expires_ns=2_000))
        await books.commit(event(1), keep("lasting", expires_ns=10**15))
        for n in range(20):
            await books.commit(event(5_000 + n), keep(f"new{n}", expires_ns=10**9))
        assert {await books.kept_receipt(f"old{n}") for n in range(20)} == {None}
        assert None not in [await books.kept_receipt(f"new{n}") for n in range(20)]
        assert await books.kept_receipt("lasting") is not None


class SharedEventContract:
    async def test_a_shared_event_opens_for_all_its_persons(self, books: Books) -> None:
        (made,) = await books.commit(changed(1, others="dave bob carol"))
        assert await books.entry(0) == made
        check_opening(made.leaf, made.event, made.salt)
        parts = check_parts(made.event, made.others)
        assert parts == tuple(
            PersonFields(name, {"by": name, "number": 1}) for name in ("bob", "carol", "dave")
        )
        (logged,) = await books.entries(0, 1)
        assert logged.others == tuple(part and part.part for part in made.others)
        assert (logged.event, logged.erased_by) == (made.event, None)

    async def test_its_parts_are_stored_as_its_payload_says(self, books: Books) -> None:
        await books.commit(append(), changed(1, others="bob carol"), append(), changed(2, others="bob"))
        stored = await books.stored(0, 4)
        parts = await books.stored_parts(0, 4)
        assert [(index, position) for index, position, _ in parts] == [(1, 0), (1, 1), (3, 0)]
        expected = [*part_hashes(stored[1][1]), *part_hashes(stored[3][1])]
        assert [hashlib.sha256(sealed).digest() for _, _, sealed in parts] == expected
        assert await books.stored_parts(2, 3) == []
        assert await books.stored_parts(3, 99) == parts[2:]

    async def test_a_refused_list_leaves_no_part(self, books: Books) -> None:
        await books.commit(changed(0))
        with pytest.raises(ValueError):
            await books.commit(changed(1), event(2**63))
        assert len(await books.stored_parts(0, 9)) == 1
        assert await indices(books, Wanted(subject="bob")) == [0]

    async def test_a_person_named_twice_or_also_the_subject_is_no_harm(self, books: Books) -> None:
        (made,) = await books.commit(changed(1, others="alice bob bob"))
        assert await books.entry(0) == made
        assert await books.held_entries("bob", ALL, 0, 9) == [
            HeldEntry(0, EventType.KEY_CHANGED, 1_001, (2, 3))
        ]
        assert await books.held_entries("alice", ALL, 0, 9) == [HeldEntry(0, EventType.KEY_CHANGED, 1_001)]


class FindContract:
    async def test_entries_are_found_by_what_they_show(self, books: Books) -> None:
        await books.commit(*(event(n, ("alice", "bob", "carol")[n % 3]) for n in range(300)))
        await books.commit(changed(300, "alice", others="bob"), event(301, "bob", EventType.REFUSED))
        assert await indices(books, Wanted()) == list(range(302))
        assert await indices(books, Wanted(subject="bob")) == [*range(1, 300, 3), 300, 301]
        assert await indices(books, Wanted(types=frozenset({EventType.REFUSED, EventType.KEY_CHANGED}))) == [
            300,
            301,
        ]
        assert await indices(books, Wanted(subject="alice", types=frozenset({EventType.REFUSED}))) == []
        assert await indices(books, Wanted(from_ns=1_010, until_ns=1_014)) == [10, 11, 12, 13]
        assert await indices(books, Wanted(subject="alice", from_ns=1_010, until_ns=1_014)) == [12]
        assert await indices(books, Wanted(subject="nobody")) == []
        assert await indices(books, Wanted(subject="bob"), start=290) == [292, 295, 298, 300, 301]

    async def test_what_is_found_is_opened_like_entries(self, books: Books) -> None:
        await books.commit(changed(0), event(1, "bob"))
        found = await books.find(Wanted(subject="bob"), 0, 10)
        assert found.entries == await books.entries(0, 10)

    @pytest.mark.parametrize("subject", ["alice", None])
    @pytest.mark.parametrize("limit", [1, 7, 100])
    async def test_pages_join_without_a_gap(self, books: Books, subject: str | None, limit: int) -> None:
        await books.commit(*(event(n, "alice" if n % 4 else "bob") for n in range(100)))
        wanted, start, seen = Wanted(subject=subject), 0, list[int]()
        while True:
            found = await books.find(wanted, start, limit)
            assert len(found.entries) <= limit
            seen += [one.index for one in found.entries]
            if found.next is None:
                break
            assert found.next > max(seen)
            start = found.next
        assert seen == [n for n in range(100) if subject is None or n % 4]

    async def test_beyond_the_end_there_is_nothing(self, books: Books) -> None:
        await books.commit(event(0))
        for start in (1, 2, 10**12):
            found = await books.find(Wanted(), start, 10)
            assert (found.entries, found.next) == ([], None)


class ErasureContract:
    async def test_what_a_subject_would_lose_is_told_before(self, books: Books) -> None:
        await books.commit(
            *(event(n, "alice" if n % 2 else "bob") for n in range(300)), changed(300, "bob", "alice")
        )
        held = await books.held_entries("alice", ALL, 0, 1_000)
        assert held == [
            *(HeldEntry(n, EventType.CHAT_COMPLETED, 1_000 + n) for n in range(1, 300, 2)),
            HeldEntry(300, EventType.KEY_CHANGED, 1_300, (1,)),
        ]
        assert await books.held_entries("alice", ACTIVITY, 0, 1_000) == held[:-1]
        assert await books.held_entries("alice", ADMINISTRATION, 0, 1_000) == held[-1:]
        assert await books.held_entries("alice", ALL, 100, 3) == held[50:53]
        assert await books.held_entries("nobody", ALL, 0, 10) == []
        assert await books.held_entries("alice", frozenset(), 0, 10) == []

    async def test_an_erased_subject_cannot_be_read_and_its_entries_stay_proved(self, books: Books) -> None:
        await books.commit(*(event(n, "alice" if n % 3 else "bob") for n in range(280)))
        leaves, stored = await books.leaves(0, 280), await books.stored(0, 280)
        mine = [n for n in range(280) if n % 3]
        (said,) = await books.commit(erase(len(mine)), SAID)
        assert said.index == 280
        assert await books.leaves(0, 280) == leaves
        assert await books.head() == TreeHead(
            281, root_of([leaf_hash(leaf) for leaf in [*leaves, said.leaf]])
        )
        for n, (leaf, payload) in enumerate(await books.stored(0, 280)):
            assert (leaf, payload) == ((leaf, erased_bytes(280)) if n % 3 else stored[n])
        assert await told(books) == [
            *((n, "erased-1", None, 280) if n % 3 else (n, "bob", n, None) for n in range(280)),
            (280, "the-gateway", None, None),
        ]
        with pytest.raises(DecryptionFailedError):
            await books.entry(1)
        assert await books.held_entries("alice", ALL, 0, 10) == []
        assert await books.held_entries("erased-1", ALL, 0, 10) == []

    async def test_a_class_that_is_held_stays_readable_under_the_name(self, books: Books) -> None:
        await books.commit(event(0), event(1, kind=EventType.REFUSED), changed(2), event(3, "bob"))
        await books.commit(erase(1, ACTIVITY), SAID)
        assert await told(books) == [
            (0, "alice", None, 4), (1, "alice", 1, None), (2, "alice", 2, None), (3, "bob", 3, None),
            (4, "the-gateway", None, None),
        ]  # fmt: skip
        await books.commit(erase(2, ALL), SAID)
        assert [one[:2] + one[3:] for one in await told(books)] == [
            (0, "erased-1", 4), (1, "erased-1", 5), (2, "erased-1", 5), (3, "bob", None),
            (4, "the-gateway", None), (5, "the-gateway", None),
        ]  # fmt: skip

    async def test_a_shared_event_loses_the_part_of_who_was_erased_and_no_more(self, books: Books) -> None:
        (made,) = await books.commit(changed(0, "bob", others="alice carol"))
        await books.commit(erase(1), SAID)
        opened = await books.entry(0)
        assert opened is not None
        assert opened == replace(made, others=(None, made.others[1]))
        assert check_parts(opened.event, opened.others)[0] is None  # what is left still proves itself
        (logged, _) = await books.entries(0, 2)
        assert (logged.erased_by, logged.others) == (
            None,
            (None, made.others[1].part if made.others[1] else b""),
        )
        stored = await books.stored_parts(0, 9)
        assert [part[:2] for part in stored] == [(0, 0), (0, 1)]
        assert stored[0][2] == erased_bytes(1)
        assert await indices(books, Wanted(subject="erased-1")) == [0]
        assert await indices(books, Wanted(subject="alice")) == []

    async def test_an_erased_entry_takes_its_parts_along(self, books: Books) -> None:
        await books.commit(changed(0, "alice", others="bob"), changed(1, "bob", others="alice"))
        assert [held.index for held in await books.held_entries("bob", ALL, 0, 9)] == [0, 1]
        await books.commit(erase(2), SAID)
        assert [(index, position) for index, position, _ in await books.stored_parts(0, 9)] == [(1, 0)]
        assert [held.index for held in await books.held_entries("bob", ALL, 0, 9)] == [1]
        assert [one.others for one in await books.entries(0, 2)] == [(), (None,)]

    async def test_a_part_that_was_erased_before_its_entry_still_names_its_erasure(
        self, books: Books
    ) -> None:
        await books.commit(changed(0, "bob", others="alice carol"))
        await books.commit(erase(1), SAID)
        await books.commit(replace(erase(1, subject="bob"), pseudonym="erased-2"), SAID)
        assert await books.stored_parts(0, 9) == [(0, 0, erased_bytes(1))]
        assert (await books.stored(0, 1))[0][1] == erased_bytes(2)
        (logged,) = await books.entries(0, 1)
        assert (logged.erased_by, logged.others) == (2, ())

    @pytest.mark.parametrize("entries", [0, 2, 4])
    async def test_another_number_than_there_is_erases_nothing(self, books: Books, entries: int) -> None:
        await books.commit(*(event(n) for n in range(3)), OpenAccount("a", 5))
        with pytest.raises(ConflictError):
            await books.commit(erase(entries), SAID, reserve("r", "a", 1))
        assert [number for _, _, number, _ in await told(books)] == [0, 1, 2]
        assert await money(books, "a") == (0, 0)

    async def test_of_many_erasures_at_once_each_entry_is_erased_by_one(self, books: Books) -> None:
        await books.commit(*(event(n) for n in range(3)))
        refused = await refusals(books.commit(erase(3), SAID) for _ in range(5))
        assert [type(error) for error in refused] == [ConflictError] * 4
        assert [one.erased_by for one in await books.entries(0, 9)] == [3, 3, 3, None]

    async def test_entries_that_come_meanwhile_are_not_erased_unseen(self, books: Books) -> None:
        """An entry is counted or stays readable, whichever of the two commits is decided first."""
        await books.commit(*(event(n) for n in range(3)))
        attempts = [books.commit(event(3)), books.commit(erase(3), SAID), books.commit(event(4))]
        refused = await refusals(iter(attempts))
        numbers = [(number, erased) for _, _, number, erased in await told(books) if number != 0 or erased]
        readable = {number for number, erased in numbers if erased is None} - {None}
        assert readable == {1, 2, 3, 4} if refused else readable == {3, 4}

    async def test_an_erasure_that_is_not_first_or_has_no_entry_after_it_is_refused(
        self, books: Books
    ) -> None:
        await books.commit(event(0))
        for changes in ((erase(1),), (event(1, "bob"), erase(1), SAID), (erase(1), SAID, erase(0), SAID)):
            with pytest.raises(ValueError):
                await books.commit(*changes)
        assert [number for _, _, number, _ in await told(books)] == [0]

    async def test_who_is_seen_again_is_somebody_new_with_new_keys(self, books: Books) -> None:
        await books.commit(event(0), changed(1, "bob", others="alice"))
        await books.commit(event(2))
        await books.commit(erase(3), SAID, event(4))
        (again,) = await books.commit(changed(5, "bob", others="alice"))
        assert [one[:2] + one[3:] for one in await told(books)] == [
            (0, "erased-1", 3), (1, "bob", None), (2, "erased-1", 3), (3, "the-gateway", None),
            (4, "alice", None), (5, "bob", None),
        ]  # fmt: skip
        assert await books.entry(5) == again
        assert [held.index for held in await books.held_entries("alice", ALL, 0, 9)] == [4, 5]
        await books.commit(replace(erase(2), pseudonym="erased-2"), SAID)
        assert [one.subject for one in await books.entries(0, 9) if one.erased_by] == [
            "erased-1",
            "erased-1",
            "erased-2",
        ]

    async def test_all_else_of_the_subjects_work_goes_with_its_activity(self, books: Books) -> None:
        await keep_everything(books, "alice", "bob")
        await books.commit(erase(0, ADMINISTRATION), SAID)
        assert await kept(books, "alice") == await kept(books, "bob") == 5
        await books.commit(erase(1, ACTIVITY), SAID)
        assert (await kept(books, "alice"), await kept(books, "bob")) == (0, 5)

    async def test_the_pseudonym_takes_the_place_of_the_name_everywhere(self, books: Books) -> None:
        await books.commit(OpenAccount("key/k1", 100))
        await keep_everything(books, "alice", "bob")
        await books.commit(reserve("r1", "key/k1", 5), settle("r1", 5), reserve("r2", "key/k1", 1))
        await books.commit(erase(1, ALL), SAID)
        assert [row.key for row in await books.usage("principal")] == ["erased-1"]
        assert await books.usage("principal", principal="alice") == []
        assert [run.principal for run in await books.runs(None)] == ["bob", "erased-1"]
        assert await books.runs("alice") == []
        assert [held.principal for held in await books.open_reservations()] == ["erased-1"]
        await books.commit(settle("r2", 1), reserve("r3", "key/k1", 1), settle("r3", 1))
        assert [(row.key, row.calls) for row in await books.usage("principal")] == [
            ("alice", 1),
            ("erased-1", 2),
        ]
        assert await books.audit_ledger() == []

    async def test_a_pseudonym_that_is_somebodys_name_is_refused(self, books: Books) -> None:
        await books.commit(event(0), event(1, "erased-1"))
        with pytest.raises(ConflictError):
            await books.commit(erase(1), SAID)
        assert [number for _, _, number, _ in await told(books)] == [0, 1]

    async def test_a_refused_list_erases_nothing(self, books: Books) -> None:
        await keep_everything(books, "alice", "bob")
        for bad in (event(2**63), reserve("r", "nobody", 1)):
            before: list[Change] = [erase(1), SAID, event(7)]
            assert (
                len(await refusals(iter([books.commit(*before, bad), books.commit(append(1, "carol"))]))) == 1
            )
        assert await kept(books, "alice") == 5
        assert [number for _, _, number, _ in await told(books)] == [0, 0, 1, 1]
        (entry,) = await books.commit(event(8))
        assert await books.entry(entry.index) == entry

    async def test_nobody_can_be_erased_too(self, books: Books) -> None:
        (said,) = await books.commit(erase(0, subject="nobody"), SAID)
        assert isinstance(said, Entry)
        assert (await books.head()).size == 1


async def keep_everything(books: Books, *principals: str) -> None:
    """One entry, run, object, reply, bound id and receipt for each."""
    for number, name in enumerate(principals):
        await books.commit(
            accept(f"run-{name}", name), event(0, name), KeepReceipt(f"request-{name}", name, 10**9)
        )
        await books.commit(
            PutObject(f"run-{name}", "document", name, b"sealed"),
            PutObject(f"run-{name}", "answer", name, b"sealed too"),
            ClaimReply(name, "k", "ab" * 32, 1, 10**9),
            PutReply(name, "k", 200, {}, b"answer"),
            BindId(f"resp-{name}", "response", name, "openai", "main", number, 7),
        )


async def kept(books: Books, principal: str) -> int:
    """How many of the five are there."""
    found = [
        await books.sealed_object(f"run-{principal}", "document"),
        await books.sealed_object(f"run-{principal}", "answer"),
        await books.reply(principal, "k"),
        await books.bound_id(f"resp-{principal}"),
        await books.kept_receipt(f"request-{principal}"),
    ]
    return sum(one is not None for one in found)


class FullLogContract(
    CosignedContract, AnchorContract, KeptReceiptContract, SharedEventContract, FindContract, ErasureContract
):
    """All of it: mix it into the class that has the `books` fixture, beside `BooksContract`."""
