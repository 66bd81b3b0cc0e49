"""Witnesses are asked, believed only as far as they can prove it, and told of; and what they may end."""

import asyncio
import itertools
import json
import logging
from collections.abc import Callable

import pytest
from tests.machine import until
from tests.services.signing.witness_house import (
    KEY,
    NOW_S,
    Books,
    backup,
    log,
    published_at,
    serving,
    witnesses,
)
from tests.tlog.logs import octets
from tests.witness import OwnWitness, Told

from macroslow.crypto.note_keys import NotePrivateKey, NoteType
from macroslow.errors import LogUnavailableError
from macroslow.services.signing.ask_witnesses import CONTRADICTED, UNWITNESSED
from macroslow.tlog import note
from macroslow.tlog.witness import AHEAD_S, MAX_ANSWER_BYTES, SIZE_TYPE

NAMES = ("a", "b", "c-pq")


async def grown(size: int) -> Books:
    """Books with so many entries."""
    books = Books()
    for _ in range(size):
        await log(books)
    return books


# What goes well


async def test_a_new_log_is_confirmed_as_the_empty_tree_and_then_signed_and_witnessed() -> None:
    three = witnesses(*NAMES)
    async with serving(await grown(3), three, quorum=2) as process:
        await until(process.confirmed)
        assert process.signer.last.size == 0
        size = await process.sign()
        judged = await published_at(process, size)
        assert judged.met
        await until(lambda: all(one.size == 3 for one in three))
        states = process.states.told()
    assert [one["cosigned_entries"] for one in states] == [3, 3, 3]
    assert [one["error"] for one in states] == [None] * 3


async def test_a_proof_waits_for_the_quorum_and_carries_its_lines() -> None:
    three = witnesses(*NAMES)
    async with serving(await grown(2), three, quorum=3) as process:
        await until(process.confirmed)
        for _ in range(3):
            size, raw = await process.checkpoints.covering(await process.note())
            judged = process.states.policy.judge(note.parse(raw))
            assert (judged.signed, judged.met, size) == (NAMES, True, (await process.books.head()).size)
            assert await process.books.checkpoint() == (size, raw)


async def test_a_proof_that_has_waited_long_enough_goes_out_with_what_there_is() -> None:
    fast, slow, down = witnesses(*NAMES)
    async with serving(await grown(2), [fast, slow, down], quorum=2, wait_s=0.0) as process:
        await until(process.confirmed)
        await published_at(process, await process.sign())
        slow.hold, down.down = asyncio.Event(), True
        index = await process.note()
        await process.checkpoints.covering(index)
        await until(lambda: process.states["a"].size == index + 1)
        size, raw = await process.checkpoints.covering(index)
        judged = process.states.policy.judge(note.parse(raw))
        assert (size, judged.signed, judged.met) == (index + 1, ("a",), False)
        assert (await process.published())[0] <= index
        slow.hold.set()
        assert (await published_at(process, index + 1)).signed == ("a", "b")


async def test_a_cosignature_that_comes_after_the_quorum_is_kept_too() -> None:
    a, b, late = witnesses(*NAMES)
    async with serving(await grown(2), [a, b, late], quorum=2) as process:
        await until(lambda: late.size == 0 and process.confirmed() and late.asked)
        late.hold = asyncio.Event()
        size = await process.sign()
        assert (await published_at(process, size)).signed == ("a", "b")
        late.hold.set()
        await until(lambda: late.size == size)
        async with asyncio.timeout(30):
            while (await process.published())[1].signed != NAMES:
                await asyncio.sleep(0.001)
        stored = await process.books.checkpoint()
        assert stored is not None
        assert stored == await process.checkpoints.published()


async def test_the_last_checkpoint_waits_for_its_witnesses() -> None:
    three, books = witnesses(*NAMES), await grown(2)
    async with serving(books, three, quorum=3) as process:
        await until(process.confirmed)
        size = await process.note() + 1
        await process.checkpoints.settle()
        published = await process.checkpoints.published()
        assert published.size == size
        assert await process.books.checkpoint() == published


async def test_one_that_is_slow_gets_the_newest_and_holds_nobody_up() -> None:
    a, b, slow = witnesses(*NAMES)
    async with serving(await grown(1), [a, b, slow], quorum=2) as process:
        await until(process.confirmed)
        slow.hold = asyncio.Event()
        for _ in range(5):
            await process.note()
            await published_at(process, await process.sign())
        slow.hold.set()
        await until(lambda: slow.size == a.size)
        assert process.states["c-pq"].error == ""


async def test_a_restart_goes_on_from_what_each_witness_cosigned() -> None:
    three, books = witnesses(*NAMES), await grown(2)
    async with serving(books, three, quorum=3) as process:
        await until(process.confirmed)
        await published_at(process, await process.sign())
    for one in three:
        one.asked.clear()
    async with serving(books, three, quorum=3) as process:
        assert (await process.published())[1].signed == NAMES
        await until(process.confirmed)
    assert [one.asked for one in three] == [[2], [2], [2]]


async def test_a_restart_that_knows_nothing_of_a_witness_learns_its_size() -> None:
    books, old = await grown(2), witnesses("a", "b")
    async with serving(books, old, quorum=2) as process:
        await until(process.confirmed)
        await published_at(process, await process.sign())
        first_two = process.signer.last.root
        await process.note(5)
        stored = await published_at(process, await process.sign())
    assert stored.met
    again = witnesses("a", "b", "new")
    again[0].size, again[0].root = old[0].size, old[0].root
    again[1].size, again[1].root = 2, first_two
    async with serving(books, again, quorum=3) as process:
        await until(process.confirmed)
        assert await process.sign() == 7
    assert [one.asked for one in again] == [[7], [7, 2], [0]]


async def test_a_witness_that_lost_its_memory_begins_anew() -> None:
    (one,), books = witnesses("a"), await grown(4)
    async with serving(books, [one], quorum=1) as process:
        await until(process.confirmed)
        await published_at(process, await process.sign())
        one.size, one.root = 0, witnesses("x")[0].root
        await process.note()
        assert (await published_at(process, await process.sign())).met
        assert one.size == 5


# Until they confirmed


async def test_until_a_quorum_confirmed_nothing_is_signed_and_no_new_work_is_taken() -> None:
    three = witnesses(*NAMES)
    for one in three[1:]:
        one.down = True
    async with serving(await grown(3), three, quorum=2) as process:
        await until(lambda: process.states["c-pq"].error and three[0].asked)
        await process.sign()
        assert process.signer.last.size == 0
        assert process.health.reasons() == ["the log's witnesses have not confirmed it yet"]
        with pytest.raises(LogUnavailableError, match=r"nothing is signed yet.*have not confirmed"):
            await process.checkpoints.covering(0)
        with pytest.raises(LogUnavailableError, match="no checkpoint"):
            await process.checkpoints.published()
        three[1].down = False
        await until(process.confirmed)
        assert (await published_at(process, await process.sign())).signed == ("a", "b")


async def test_what_was_signed_before_can_be_proved_before_they_confirm() -> None:
    books = await grown(3)
    async with serving(books, witnesses("a"), quorum=1) as process:
        await until(process.confirmed)
        await published_at(process, await process.sign())
    (down,) = witnesses("a")
    down.down = True
    async with serving(books, [down], quorum=1) as process:
        assert (await process.checkpoints.covering(2)).size == 3
        assert not process.confirmed()


async def test_a_signer_that_is_away_at_the_start_is_asked_again() -> None:
    async with serving(await grown(3), witnesses("a"), quorum=1) as process:
        process.signer.broken = True
        await process.note()
        await asyncio.sleep(0)
        process.signer.broken = False
        await until(process.confirmed)


# What they may end


async def restored(*, quorum: int, growth: int) -> tuple[Books, list[OwnWitness]]:
    """Books from a backup of 3 entries of a log of 5, that grew by `growth` since; and its witnesses."""
    three, books = witnesses(*NAMES), await grown(3)
    async with serving(books, three, quorum=quorum) as process:
        await until(process.confirmed)
        await published_at(process, await process.sign())
        old = backup(books)
        await process.note(2)
        await published_at(process, await process.sign())
        await until(lambda: all(one.size == 5 for one in three))
    for _ in range(growth):
        await log(old)
    return old, three


@pytest.mark.parametrize("growth", [0, 1, 2, 9])
async def test_a_restored_backup_is_refused_before_anything_is_signed(
    growth: int, caplog: pytest.LogCaptureFixture
) -> None:
    books, three = await restored(quorum=2, growth=growth)
    async with serving(books, three, quorum=2) as process:
        await until(lambda: process.ask.raised[CONTRADICTED] == 3)
        await process.sign()
        assert process.signer.last.size == 3
        (stored,) = [await books.checkpoint()]
        assert stored is not None
        assert stored[0] == 3
        reasons = "\n".join(process.health.reasons())
        assert "cosigned 5 entries of this log, of which 3 are here" in reasons
        assert "macroslow audit fork" in reasons
        with pytest.raises(LogUnavailableError, match="rolled back or forked"):
            await process.checkpoints.covering(await process.note())
        alert = json.loads(process.outlet.sent[0].body)
        assert (alert["type"], alert["data"]["gateway"]) == (CONTRADICTED, "tests")
        assert all(one.size == 5 for one in three)
    assert sum(record.levelno == logging.CRITICAL for record in caplog.records) == 3


async def test_one_witness_alone_that_knows_more_is_enough_to_stop_though_it_is_the_last_to_say_so() -> None:
    books, three = await restored(quorum=2, growth=2)
    empty, slow = witnesses(*NAMES)[:2], three[2]
    slow.hold = asyncio.Event()
    async with serving(books, [*empty, slow], quorum=2) as process:
        await until(lambda: all(one.size == 3 for one in empty))
        await process.sign()
        assert process.signer.last.size == 3  # it has its time
        slow.hold.set()
        await until(lambda: process.ask.raised[CONTRADICTED])
        await process.sign()
        assert process.signer.last.size == 3
        assert not process.confirmed()


@pytest.mark.parametrize("old_way", [False, True])
async def test_another_log_of_the_same_size_under_the_same_key_is_a_fork(*, old_way: bool) -> None:
    (one,), books = witnesses("a"), await grown(3)
    async with serving(books, [one], quorum=1) as process:
        await until(process.confirmed)
        await published_at(process, await process.sign())
    one.root = octets("another tree", 32)
    if old_way:  # tlog-witness before 1.1 answers so where the roots differ
        one.fault = lambda _: Told(409, b"3\n", SIZE_TYPE)
    async with serving(books, [one], quorum=1) as process:
        await until(lambda: process.ask.raised[CONTRADICTED])
        assert "does not extend one of 3 entries that it cosigned" in "".join(process.health.reasons())
        assert process.signer.last.size == 3


async def test_a_log_that_forks_while_it_is_served_signs_nothing_more() -> None:
    (one,), books = witnesses("a"), await grown(3)
    async with serving(books, [one], quorum=1, wait_s=0.0) as process:
        await until(process.confirmed)
        await published_at(process, await process.sign())
        one.root = octets("another tree", 32)
        await process.note()
        await process.sign()
        await until(lambda: process.ask.raised[CONTRADICTED])
        signed = process.signer.last.size
        await process.note()
        await process.sign()
        assert process.signer.last.size == signed
        assert (await process.published())[0] == 3


# What they may not


def lies(one: OwnWitness) -> dict[str, Callable[[bytes], Told | None]]:
    """Answers that are worth nothing, each by a function of the request."""

    def text(body: bytes) -> str:
        return note.parse(body.partition(b"\n\n")[2]).text

    def lines(key: NotePrivateKey, text: str, time_s: int = NOW_S) -> bytes:
        return note.sign(text, [key], time_s=time_s).format().removeprefix(text.encode() + b"\n")

    stranger = NotePrivateKey("stranger", NoteType.ED25519_COSIGNATURE, octets("stranger", 32))
    impostor = NotePrivateKey(one.name, one.type, octets("impostor", 32))
    sizes = itertools.count()
    other = f"{KEY.public.origin}\n7\n{text_of_root()}\n"
    return {
        "a stranger's line": lambda body: Told(200, lines(stranger, text(body))),
        "an impostor's line": lambda body: Told(200, lines(impostor, text(body))),
        "its line over another note": lambda _: Told(200, lines(one.key, other)),
        "its line twice": lambda body: Told(200, lines(one.key, text(body)) * 2),
        "no time": lambda body: Told(200, lines(one.key, text(body), 0)),
        "a time to come": lambda body: Told(200, lines(one.key, text(body), NOW_S + AHEAD_S + 1)),
        "nothing": lambda _: Told(200),
        "garbage": lambda _: Told(200, b"<html>\xff\0"),
        "much": lambda _: Told(200, b"\xe2\x80\x94 x AAAAAAA=\n" * (MAX_ANSWER_BYTES // 16)),
        "a conflict with what it just said": lambda body: _conflict(text(body), 1),
        "another size each time": lambda body: _conflict(text(body), 1 + next(sizes) % 3),
        "it forbids": lambda _: Told(403),
        "it is broken": lambda _: Told(500),
    }


def text_of_root() -> str:
    return note.format_body(note.Body("x", 1, octets("root", 32))).split("\n")[2]


def _conflict(text: str, size: int) -> Told:
    """Of a size that the log may well have had."""
    is_empty = note.parse_body(text).size == 0
    return Told(503) if is_empty else Told(409, b"%d\n" % size, SIZE_TYPE)


@pytest.mark.parametrize("lie", sorted(lies(witnesses("liar")[0])))
@pytest.mark.parametrize("name", ["liar", "liar-q"])
async def test_a_witness_that_lies_adds_nothing_and_is_told_of_once(
    lie: str, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    good, liar = witnesses("a", "b"), witnesses(name)[0]
    liar.size, liar.fault = 3, lies(liar)[lie]
    async with serving(await grown(4), [*good, liar], quorum=2) as process:
        await until(process.confirmed)
        await published_at(process, await process.sign())
        await until(lambda: len(liar.asked) > 20)
        assert (await process.published())[1].signed == ("a", "b")
        assert process.states[name].error
        assert process.states[name].size is None
        assert process.confirmed()
    assert len([record for record in caplog.records if name in record.getMessage()]) == 1


# Loss of the quorum


@pytest.mark.parametrize("required", [False, True])
async def test_a_quorum_that_is_lost_is_told_once_and_stops_work_only_where_it_is_required(
    *, required: bool, caplog: pytest.LogCaptureFixture
) -> None:
    two = witnesses("a", "b")
    async with serving(
        await grown(1), two, quorum=2, wait_s=0.0, required=required, patience_s=0.01
    ) as process:
        await until(process.confirmed)
        await published_at(process, await process.sign())
        two[1].down = True
        size = (await process.note()) + 1
        await process.sign()
        await until(lambda: process.ask.raised[UNWITNESSED])
        assert process.confirmed() is not required
        assert (await process.checkpoints.covering(size - 1)).size == size
        two[1].down = False
        assert (await published_at(process, size)).met
        await until(process.confirmed)
        assert process.ask.raised == {UNWITNESSED: 1, CONTRADICTED: 0}
        assert process.states["b"].error == ""
    told = [record.getMessage() for record in caplog.records]
    assert told.count("of the log's witnesses 1 cosign, needed are 2 of a, b") == 1
    assert told.count("enough witnesses cosign again") == 1


async def test_a_full_disk_keeps_no_cosignatures_and_stops_no_witness() -> None:
    (one,), books = witnesses("a"), await grown(2)
    async with serving(books, [one], quorum=1) as process:
        await until(process.confirmed)
        await process.sign()
        await published_at(process, 2)
        await process.note()
        books.full = True
        with pytest.raises(LogUnavailableError, match="space"):
            await process.sign()
        assert one.size == 2  # it must know of no more than is kept
        books.full = False
        assert (await published_at(process, await process.sign())).met


# Several processes on one store


async def test_processes_that_share_a_log_share_its_witnesses() -> None:
    two, books = witnesses("a", "b"), await grown(2)
    async with serving(books, two, quorum=2) as first, serving(books, two, quorum=2) as second:
        await until(lambda: first.confirmed() and second.confirmed())
        for _ in range(6):
            for process in (first, second):
                index = await process.note()
                size, raw = await process.checkpoints.covering(index)
                assert size > index
                assert process.states.policy.judge(note.parse(raw)).met
        assert first.ask.raised[CONTRADICTED] == second.ask.raised[CONTRADICTED] == 0


async def test_processes_that_share_a_log_and_write_at_once_contradict_nobody() -> None:
    two, books = witnesses("a", "b-q"), await grown(2)

    async with serving(books, two, quorum=2) as first, serving(books, two, quorum=2) as second:
        await until(lambda: first.confirmed() and second.confirmed())
        for _ in range(20):
            await first.note()
            await asyncio.gather(first.sign(), second.sign())
        size = (await books.head()).size
        assert size == 22
        await published_at(first, size)
        await published_at(second, size)
        assert first.confirmed()
        assert second.confirmed()
        assert first.ask.raised[CONTRADICTED] == second.ask.raised[CONTRADICTED] == 0
