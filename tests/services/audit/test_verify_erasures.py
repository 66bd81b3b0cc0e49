"""Verifying a log in which somebody was erased: what is gone is what the log says, and nothing else."""

import hashlib
import sqlite3
import struct
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tests.services.house import House, Keys, open_house

from macroslow.adapters.sqlite import key_name
from macroslow.authn.principal import THE_GATEWAY
from macroslow.errors import BadRequestError, VerificationError
from macroslow.services.audit import verify_log
from macroslow.services.audit.verify_log import VerifyLog
from macroslow.tlog.event import Event, EventClass, EventType, PersonFields, name_of
from macroslow.tlog.ports import Append, EraseSubject

ALL = frozenset(EventClass)


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with open_house(tmp_path, keys=Keys.new()) as opened:
        yield opened


@pytest.fixture
def forge(tmp_path: Path, house: House):  # the house first: its file must be there
    """Change the file behind the gateway's back; returns what the first column was."""

    def change(statement: str, *values: object, rows: int = 1) -> None:
        connection = sqlite3.connect(tmp_path / "books.sqlite")
        with connection:
            assert connection.execute(statement, values).rowcount == rows
        connection.close()

    return change


def said(number: int, subject: str = "ann", others: str = "") -> Append:
    parts = tuple(PersonFields(name, {"by": name}) for name in others.split())
    kind = EventType.KEY_CHANGED if others else EventType.CHAT_COMPLETED
    return Append(Event(kind, 1_000 + number, subject, {"number": number}, parts))


async def fill(house: House, *changes: Append) -> list[int]:
    return [entry.index for entry in await house.books.commit(*changes)]


async def erase(
    house: House, subject: str = "ann", classes: frozenset[EventClass] = ALL, /, **lies: Any
) -> int:
    """Erase, and tell of it truly but for `lies`; return the index of the entry that tells."""
    held = await house.books.held_entries(subject, classes, 0, 1_000_000)
    indices = [one.index for one in held]
    fields: dict[str, object] = {
        "classes": sorted(each.name.lower() for each in classes),
        "held": {},
        "entries": len(held),
        "entries_sha256": digest([(one.index, place) for one in held for place in one.places]),
        "by_type": dict(sorted(Counter(name_of(one.type) for one in held).items())),
        "first_index": min(indices, default=None),
        "last_index": max(indices, default=None),
    }
    event = Event(EventType.SUBJECT_ERASED, 9_000, THE_GATEWAY, fields | lies)
    pseudonym = f"erased-{(await house.books.head()).size}"
    (entry,) = await house.books.commit(EraseSubject(subject, classes, len(held), pseudonym), Append(event))
    return entry.index


def digest(rows: Sequence[tuple[int, int]]) -> str:
    return hashlib.sha256(b"".join(struct.pack(">QB", index, place) for index, place in rows)).hexdigest()


async def verify(house: House, **how: object) -> verify_log.Verified:
    return await VerifyLog(house.books, house.log_key)(**how)  # type: ignore[arg-type]


async def test_an_erasure_that_is_as_it_is_told_is_sound(house: House) -> None:
    await fill(house, *(said(n, "ann" if n % 2 else "ben") for n in range(20)), said(20, "ben", "ann cy"))
    await fill(house, said(21, "ann", "ben"), said(22, "cy", "ann ann"))
    note = await house.checkpoints.newest()
    assert (await verify(house)).erased == 0
    await erase(house, "ann", frozenset({EventClass.ACTIVITY}))
    assert (await verify(house, since=note)).erased == 10
    await erase(house, "ann")
    await fill(house, said(23))
    await erase(house, "nobody")
    await house.checkpoints.newest()
    assert (await verify(house, since=note)).erased == 13
    await erase(house, "ann")
    await erase(house, "cy")
    assert (await verify(house, since=note)).erased == 16  # entry 20 has two parts that are gone


@pytest.mark.parametrize(
    "lie",
    [{"entries": 2}, {"entries": 4}, {"entries": "3"}, {"entries_sha256": digest([(0, 0)])},
     {"by_type": {"chat-completed": 4}}, {"first_index": 1}, {"last_index": 0}, {"by_type": {}},
     {"last_index": None}, {"classes": ["security"]}, {"classes": ["activity", "all"]},
     {"classes": [["activity"]]}, {"classes": None}, {"held": {"api-called": 1}},
     {"held": {"chat-completed": 1}}, {"held": None}],
    ids=range(16),
)  # fmt: skip
async def test_an_entry_that_lies_about_its_erasure_is_found(house: House, lie: dict[str, Any]) -> None:
    await fill(house, said(0), said(1, "ben"), said(2), said(3))
    teller = await erase(house, **lie)
    with pytest.raises(VerificationError, match=f"entry {teller} tells of"):
        await verify(house)


@pytest.mark.parametrize("resume", [False, True])
async def test_what_is_erased_beyond_what_is_told_is_found(house: House, forge, resume: bool) -> None:
    indices = await fill(house, *(said(n, "ann" if n % 2 else "ben") for n in range(6)))
    note = await house.checkpoints.newest()
    teller = await erase(house)
    await fill(house, said(9))
    blank = "UPDATE entries SET payload = (SELECT payload FROM entries WHERE n = ?) WHERE n = ?"
    forge(blank, indices[1], indices[2])  # ben's
    with pytest.raises(VerificationError, match=f"entry {teller} tells of an erasure of 3 entries: 4 are"):
        await verify(house, since=note, resume=resume)


@pytest.mark.parametrize("resume", [False, True])
async def test_what_is_put_back_is_found(house: House, forge, tmp_path: Path, resume: bool) -> None:
    """The true payload, from a backup: nothing but the account can tell."""
    indices = await fill(house, said(0), said(1))
    note = await house.checkpoints.newest()
    backup = (await house.books.stored(indices[0], indices[0] + 1))[0][1]
    teller = await erase(house)
    forge("UPDATE entries SET payload = ? WHERE n = ?", backup, indices[0])
    with pytest.raises(VerificationError, match=f"entry {teller} tells of an erasure of 2 entries: 1 are"):
        await verify(house, since=note, resume=resume)


async def test_another_payload_in_the_place_of_an_erased_one_is_found(house: House, forge) -> None:
    ours, bens = await fill(house, said(0), said(1, "ben"))
    await erase(house)
    forge("UPDATE entries SET payload = (SELECT payload FROM entries WHERE n = ?) WHERE n = ?", bens, ours)
    with pytest.raises(VerificationError, match=f"entry {ours} was altered: its payload"):
        await verify(house)


@pytest.mark.parametrize("named", ["itself", "before", "no erasure", "beyond the log"])
async def test_an_entry_that_is_gone_and_names_no_erasure_is_found(house: House, forge, named: str) -> None:
    before, ours, after = await fill(house, said(0), said(1), said(2))
    teller = {"itself": ours, "before": before, "no erasure": after, "beyond the log": 2**40}[named]
    forge("UPDATE entries SET payload = ? WHERE n = ?", teller.to_bytes(8, "big"), ours)
    with pytest.raises(VerificationError, match=f"entry {ours} was altered: it is gone"):
        await verify(house)


async def test_an_erasure_that_cannot_be_read_accounts_for_nothing(
    house: House, forge, tmp_path: Path
) -> None:
    await fill(house, said(0))
    teller = await erase(house)
    held = await house.books.held_entries(THE_GATEWAY, ALL, 0, 100)
    erased = EraseSubject(THE_GATEWAY, ALL, len(held), "erased-gateway")
    await house.books.commit(erased, said(1))
    with pytest.raises(VerificationError, match=f"entry {teller} tells of an erasure and cannot be read"):
        await verify(house)


@pytest.mark.parametrize(
    "forgery",
    [
        "UPDATE parts SET sealed = CAST(sealed || x'00' AS BLOB) WHERE n = {first}",
        "UPDATE parts SET sealed = x'' WHERE n = {first}",
        "UPDATE parts SET sealed = (SELECT sealed FROM parts WHERE n = {first} + 1) WHERE n = {first}",
        "DELETE FROM parts WHERE n = {first}",
        "DELETE FROM parts WHERE n = {first} + 1",
        "UPDATE parts SET n = n + 1 WHERE n = {first} + 1",
        "INSERT INTO parts SELECT n + 7, subject, sealed FROM parts WHERE n = {first}",
        "INSERT INTO parts SELECT n - 256, subject, sealed FROM parts WHERE n = {first}",
    ],
    ids=range(8),
)
async def test_an_altered_part_is_named_with_its_entry(house: House, forge, forgery: str) -> None:
    plain, shared = await fill(house, said(0), said(1, "ann", "ben cy"))
    assert (await verify(house)).erased == 0
    forge(forgery.format(first=shared * 256))
    with pytest.raises(VerificationError, match=f"entry ({plain}|{shared}) was altered: its (leaf|part)"):
        await verify(house)


async def test_a_part_that_is_gone_and_untold_is_found(house: House, forge) -> None:
    (shared,) = await fill(house, said(1, "ann", "ben cy"))
    teller = await erase(house, "dee")
    forge("UPDATE parts SET sealed = ? WHERE n = ?", teller.to_bytes(8, "big"), shared * 256)
    with pytest.raises(VerificationError, match=f"entry {teller} tells of an erasure of 0 entries: 1 are"):
        await verify(house)


async def test_a_leaf_with_an_unknown_type_is_no_crash(house: House, forge) -> None:
    (ours, _) = await fill(house, said(0), said(1))
    leaf = (await house.books.leaves(ours, ours + 1))[0]
    forged = leaf[:12] + b"\xff\xff" + leaf[14:]
    forge("UPDATE entries SET leaf = ?, payload = x'0000000000000fff' WHERE n = ?", forged, ours)
    with pytest.raises(VerificationError):
        await verify(house)
    with pytest.raises(VerificationError):
        await house.books.entries(0, 1_000)


async def test_an_altered_tile_is_named(house: House, forge) -> None:
    size = (await house.books.head()).size
    await fill(house, *(said(n) for n in range(size, 600)))
    assert (await verify(house)).entries == 600
    forge("UPDATE tiles SET hashes = zeroblob(length(hashes)) WHERE level = 0 AND number = 1")
    with pytest.raises(VerificationError, match="stored tile 0/1 was altered"):
        await verify(house)


async def sized(house: House, size: int) -> None:
    """Grow the log to `size` entries."""
    now = (await house.books.head()).size
    await fill(house, *(said(n, ("ann", "ben")[n % 2]) for n in range(now, size)))


@pytest.mark.parametrize("first", [1, 255, 256, 257, 511, 513])
@pytest.mark.parametrize("more", [0, 1, 300])
async def test_from_a_kept_checkpoint_only_what_came_since_is_read(
    house: House, forge, first: int, more: int
) -> None:
    first = max(first, (await house.books.head()).size)
    await sized(house, first)
    note = await house.checkpoints.newest()
    await sized(house, first + more)
    await house.checkpoints.newest()
    heard: list[tuple[int, int]] = []
    again = VerifyLog(house.books, house.log_key, lambda done, of: heard.append((done, of)))
    found = await again(since=note, resume=True)
    head = await house.books.head()
    assert found == verify_log.Verified(first + more, first + more, head.root.hex(), first, first, 0)
    assert heard == ([(more, more)] if more else [])
    forge("UPDATE entries SET payload = x'00' WHERE n = 0")
    assert (await again(since=note, resume=True)).start == first
    with pytest.raises(VerificationError, match="entry 0 was altered"):
        await again(since=note)


async def test_a_tree_whose_tiles_are_not_the_kept_checkpoints_is_found(tmp_path: Path) -> None:
    keys = Keys.new()
    async with open_house(tmp_path, keys=keys) as house:
        await sized(house, 600)
        note = await house.checkpoints.newest()
        await sized(house, 700)
    with closing(sqlite3.connect(tmp_path / "books.sqlite")) as connection, connection:
        connection.execute("UPDATE tiles SET root = zeroblob(32) WHERE level = 0 AND number = 1")
    async with open_house(tmp_path, keys=keys) as again:
        with pytest.raises(VerificationError, match="first 600 entries are not those that were signed"):
            await verify(again, since=note, resume=True)


async def test_what_came_since_is_checked_as_closely_as_all(house: House, forge) -> None:
    await sized(house, 300)
    note = await house.checkpoints.newest()
    await sized(house, 400)
    forge("UPDATE entries SET payload = x'00' WHERE n = 350")
    with pytest.raises(VerificationError, match="entry 350 was altered"):
        await verify(house, since=note, resume=True)


async def test_an_erasure_since_is_accounted_for_with_the_entries_before(house: House) -> None:
    await sized(house, 300)
    await erase(house, "ben", frozenset({EventClass.ACTIVITY}))
    await fill(house, said(1, "ben", "ann"))
    note = await house.checkpoints.newest()
    await sized(house, 350)
    held = await house.books.held_entries("ann", ALL, 0, 1_000)
    await erase(house, "ann")
    assert (await verify(house, since=note, resume=True)).erased == len(held)


async def test_without_a_checkpoint_there_is_nothing_to_go_on_from(house: House) -> None:
    with pytest.raises(BadRequestError):
        await verify(house, resume=True)


async def test_the_work_is_told_of_as_it_goes(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    await sized(house, 100)
    monkeypatch.setattr(verify_log, "CHUNK", 30)
    heard: list[tuple[int, int]] = []
    await VerifyLog(house.books, house.log_key, lambda done, of: heard.append((done, of)))()
    assert heard == [(30, 100), (60, 100), (90, 100), (100, 100)]


def keys_of(folder: Path, statement: str, *values: object) -> None:
    """Change the subjects' keys behind the gateway's back."""
    with closing(sqlite3.connect(folder / "subjects.sqlite")) as connection, connection:
        assert connection.execute(statement, values).rowcount == 1


@pytest.mark.parametrize("how", ["deleted", "another's", "altered"])
async def test_a_key_that_is_gone_untold_is_found(house: House, tmp_path: Path, how: str) -> None:
    """Nothing in the books changes: every leaf, payload and tile is as it was."""
    first, _, last = await fill(house, said(0), said(1, "ben"), said(2))
    note = await house.checkpoints.newest()
    assert (await verify(house, since=note)).entries == last + 1
    name = key_name("ann", EventClass.ACTIVITY)
    statement, *more = {
        "deleted": ("DELETE FROM keys WHERE name = ?",),
        "another's": (
            "UPDATE keys SET wrapped = (SELECT wrapped FROM keys WHERE name = ?) WHERE name = ?",
            key_name("ben", EventClass.ACTIVITY),
        ),
        "altered": ("UPDATE keys SET wrapped = CAST(wrapped || x'00' AS BLOB) WHERE name = ?",),
    }[how]
    keys_of(tmp_path, statement, *more, name)
    with pytest.raises(
        VerificationError, match=f"2 of the entries cannot be opened .* entry {first}:"
    ) as found:
        await verify(house, since=note)
    assert "subjects.sqlite" in found.value.fix


async def test_a_key_of_a_part_that_is_gone_untold_is_found(house: House, tmp_path: Path) -> None:
    (shared,) = await fill(house, said(0, "ann", "ben cy"))
    assert (await verify(house)).erased == 0
    keys_of(tmp_path, "DELETE FROM keys WHERE name = ?", key_name("cy", EventClass.ADMINISTRATION))
    with pytest.raises(VerificationError, match=f"1 of the entries cannot be opened .* entry {shared}:"):
        await verify(house)


async def test_without_any_key_all_is_verified_and_none_of_it_taken_as_sound(tmp_path: Path) -> None:
    keys = Keys.new()
    async with open_house(tmp_path, keys=keys) as house:
        await fill(house, said(0), said(1, "ben", "ann"))
        await erase(house, "ben")
        live = [one for one in await house.books.entries(0, 99) if one.erased_by is None]
    (tmp_path / "subjects.sqlite").unlink()
    (tmp_path / "subjects.sqlite").touch()
    async with open_house(tmp_path, keys=keys) as again:
        with pytest.raises(VerificationError, match=f"{len(live)} of the entries cannot be opened"):
            await verify(again)
    with closing(sqlite3.connect(tmp_path / "books.sqlite")) as connection, connection:
        connection.execute("UPDATE entries SET payload = x'00' WHERE n = 0")
    async with open_house(tmp_path, keys=keys) as again:
        with pytest.raises(VerificationError, match="entry 0 was altered"):
            await verify(again)


async def test_an_entry_behind_the_erasure_of_its_part_is_missed(house: House, forge) -> None:
    """The part went lawfully; the rest of the entry takes the same marker."""
    (shared,) = await fill(house, said(0, "ann", "cy"))
    teller = await erase(house, "cy")
    assert (await verify(house)).erased == 1
    forge(
        "UPDATE entries SET payload = CAST(? || zeroblob(40) AS BLOB) WHERE n = ?",
        teller.to_bytes(8, "big"),
        shared,
    )
    with pytest.raises(VerificationError, match=f"entry {teller} tells of the erasure of other entries"):
        await verify(house)


async def test_a_row_that_is_hung_on_somebody_else_is_found(house: House, forge) -> None:
    ours, _ = await fill(house, said(0), said(1, "ben"))
    forge("UPDATE entries SET subject = (SELECT n FROM names WHERE name = 'ben') WHERE n = ?", ours)
    with pytest.raises(VerificationError, match=f"1 of the entries cannot be opened .* entry {ours}:"):
        await verify(house)


async def test_a_name_that_is_changed_is_found(house: House, forge) -> None:
    """Of all that the person did at once: it opens under nobody's key."""
    first, _ = await fill(house, said(0), said(1))
    forge("UPDATE names SET name = 'eve' WHERE name = 'ann'")
    with pytest.raises(VerificationError, match=f"2 of the entries cannot be opened .* entry {first}:"):
        await verify(house)


@pytest.mark.parametrize("what", ["payload", "part"])
async def test_ciphertext_that_is_left_behind_the_marker_is_found(house: House, forge, what: str) -> None:
    (shared,) = await fill(house, said(0, "ann", "cy"))
    await erase(house, "ann" if what == "payload" else "cy")
    assert (await verify(house)).erased == 1
    left = "CAST(substr({0}, 1, length({0}) - 1) || x'01' AS BLOB)"
    if what == "payload":
        forge(f"UPDATE entries SET payload = {left.format('payload')} WHERE n = ?", shared)
    else:
        forge(f"UPDATE parts SET sealed = {left.format('sealed')} WHERE n = ?", shared * 256)
    with pytest.raises(VerificationError, match=f"entry {shared} was altered"):
        await verify(house)


@pytest.mark.sweep
async def test_a_log_of_65536_entries_is_verified_whole_and_from_a_kept_checkpoint(
    house: House, forge
) -> None:
    size = 256 * 256
    await sized(house, size)
    note = await house.checkpoints.newest()
    await fill(house, said(size))
    held = await house.books.held_entries("ann", ALL, 0, 1_000_000)
    assert len(held) > size // 3
    assert await erase(house, "ann") == size + 1
    whole = await verify(house)
    assert (whole.entries, whole.erased) == (size + 2, len(held))
    assert (await verify(house, since=note, resume=True)).erased == len(held)
    forge("UPDATE tiles SET hashes = zeroblob(8192) WHERE level = 1 AND number = 0")
    with pytest.raises(VerificationError, match="stored tile 1/0 was altered"):
        await verify(house)
