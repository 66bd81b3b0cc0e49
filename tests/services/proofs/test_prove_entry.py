"""The strongest receipt of an entry: dated where it was dated, under the note that most have signed."""

import json

import pytest
from tests.services.house import House

from macroslow.crypto.note_keys import NotePrivateKey, NoteType
from macroslow.errors import NotFoundError, VerificationError
from macroslow.tlog import note, receipt
from macroslow.tlog.event import Event, EventType, PersonFields
from macroslow.tlog.ports import Append, StoreAnchor, StoreCheckpoint

WITNESS = NotePrivateKey("witness.example/1", NoteType.ED25519_COSIGNATURE, bytes([1]) * 32)


def dated(response: bytes, message: bytes) -> int:
    if response != b"stamp over " + message:
        raise VerificationError("the time stamp does not verify")
    return 1_800_000_000


async def anchored(house: House, signed: bytes) -> None:
    size = note.parse_body(note.parse(signed).text).size
    await house.books.commit(StoreAnchor(size, signed, b"stamp over " + signed))


async def told(house: House, index: int) -> bytes:
    return json.dumps(await house.prove.by_index(index)).encode()


def cosigned(signed: bytes) -> bytes:
    parsed = note.parse(signed)
    more = note.sign(parsed.text, [WITNESS], time_s=1).lines
    return note.Note(parsed.text, (*parsed.lines, *more)).format()


async def test_the_oldest_stamp_that_covers_an_entry_dates_it(house: House) -> None:
    await house.note(3)
    early = await house.checkpoints.newest()
    await anchored(house, early)
    await house.note(3)
    late = await house.checkpoints.newest()
    await anchored(house, late)
    for index, size in ((2, 3), (3, 6)):
        verdict = receipt.verify(await told(house, index), house.log_key, dated=dated)
        assert (verdict.index, verdict.size) == (index, size)
        assert verdict.proved == "signed · time-stamped 2027-01-15T08:00:00Z"


async def test_an_entry_that_nobody_dated_yet_has_no_stamp(house: House) -> None:
    await house.note(1)
    await anchored(house, await house.checkpoints.newest())
    await house.note(1)
    verdict = receipt.verify(await told(house, 1), house.log_key)
    assert (verdict.size, verdict.carries_time_stamp) == (2, False)


async def test_a_fresh_entry_does_not_ask_for_one(house: House) -> None:
    await house.note(1)
    await anchored(house, await house.checkpoints.newest())
    entry = await house.books.entry(0)
    assert entry is not None
    assert "timestamp" not in await house.prove(entry)


async def test_a_note_that_more_have_signed_is_stronger_than_a_stamp(house: House) -> None:
    await house.note(1)
    signed = await house.checkpoints.newest()
    await anchored(house, signed)
    await house.books.commit(StoreCheckpoint(1, cosigned(signed)))
    house.checkpoints = type(house.checkpoints)(house.books, house.signer)
    await house.checkpoints.load()
    house.prove = type(house.prove)(house.books, house.checkpoints)
    verdict = receipt.verify(await told(house, 0), house.log_key)
    assert (verdict.carries_cosignatures, verdict.carries_time_stamp) == (True, False)


async def test_a_stamp_over_a_cosigned_note_keeps_both(house: House) -> None:
    await house.note(1)
    await anchored(house, cosigned(await house.checkpoints.newest()))
    await house.note(1)
    verdict = receipt.verify(await told(house, 0), house.log_key, dated=dated)
    assert (verdict.carries_cosignatures, verdict.carries_time_stamp) == (True, True)


async def test_an_entry_that_is_not_there_has_no_receipt(house: House) -> None:
    await house.note(1)
    with pytest.raises(NotFoundError, match="no entry 1"):
        await house.prove.by_index(1)


async def test_a_shared_event_is_proved_with_each_persons_part_and_without_an_erased_one(
    house: House,
) -> None:
    parts = (PersonFields("ann", {"by": "ann"}), PersonFields("zoe", {"by": "zoe"}))
    await house.books.commit(Append(Event(EventType.CHAT_COMPLETED, 1, "bob", {"n": 1}, parts)))
    verdict = receipt.verify(await told(house, 0), house.log_key)
    assert verdict.statement["others"] == [
        {"who": "ann", "details": {"by": "ann"}},
        {"who": "zoe", "details": {"by": "zoe"}},
    ]
    await house.erasure("ann", "asked")
    after = receipt.verify(await told(house, 0), house.log_key)
    assert after.statement == {**verdict.statement, "others": [None, verdict.statement["others"][1]]}  # type: ignore[index]
