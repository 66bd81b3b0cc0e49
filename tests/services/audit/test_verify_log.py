"""Verifying the whole log: whatever is altered in the file is caught, by name where it can be named."""

import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.services.house import CLOCK, ENTROPY, House, Keys, open_house

from macroslow.errors import VerificationError
from macroslow.metering.ledger import CallOutcome, Reserve, Settle, Usage
from macroslow.services.audit import verify_log
from macroslow.services.audit.verify_log import VerifyLog
from macroslow.tlog.checkpoint import LogPrivateKey
from macroslow.tlog.leaf import leaf_hash
from macroslow.tlog.tree import Edge

ENTRIES = 40


@pytest.fixture
def keys() -> Keys:
    return Keys.new()


@pytest.fixture
async def house(tmp_path: Path, keys: Keys) -> AsyncIterator[House]:
    async with open_house(tmp_path, keys=keys) as opened:
        size = (await opened.books.head()).size
        await opened.note(ENTRIES - size)
        yield opened


@pytest.fixture
def forge(tmp_path: Path, house: House):  # the house first: its file must be there
    """Change the file behind the gateway's back, as whoever owns the machine can."""

    def change(statement: str, *values: object) -> None:
        connection = sqlite3.connect(tmp_path / "books.sqlite")
        with connection:
            assert connection.execute(statement, values).rowcount == 1
        connection.close()

    return change


def verify(house: House, **brought: bytes | None):
    return VerifyLog(house.books, house.log_key)(**brought)


async def test_a_sound_log_is_found_sound_and_said_how_far_it_is_signed(house: House) -> None:
    assert (await verify(house)).signed == 0
    note = await house.checkpoints.newest()
    await house.note(5)
    head = await house.books.head()
    found = await verify(house, since=note)
    assert found == verify_log.Verified(head.size, ENTRIES, head.root.hex(), ENTRIES, 0, 0)


@pytest.mark.parametrize("chunk", [1, 7, ENTRIES, 1024])
async def test_it_is_read_in_pieces_of_any_size(
    house: House, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    note = await house.checkpoints.newest()
    await house.note(3)
    monkeypatch.setattr(verify_log, "CHUNK", chunk)
    assert (await verify(house, since=note)).entries == ENTRIES + 3


async def test_an_empty_log_is_sound(house: House) -> None:
    class NoEntries:
        async def head(self):
            return Edge().head()

        async def checkpoint(self) -> None:
            return None

        async def audit_ledger(self) -> list[object]:
            return []

    assert (await VerifyLog(NoEntries(), house.log_key)()).entries == 0  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "altered", ["zeroblob(length(payload))", "x''", "zeroblob(8)", "payload || x'00'", "x'ff'"]
)
@pytest.mark.parametrize("index", [0, 7, ENTRIES - 1])
async def test_an_altered_payload_is_named(house: House, forge, index: int, altered: str) -> None:
    forge(f"UPDATE entries SET payload = CAST({altered} AS BLOB) WHERE n = ?", index)
    with pytest.raises(VerificationError, match=f"entry {index} was altered"):
        await verify(house)


async def test_a_leaf_that_is_none_any_more_is_named(house: House, forge) -> None:
    forge("UPDATE entries SET leaf = x'00' WHERE n = 7")
    with pytest.raises(VerificationError, match="entry 7 was altered"):
        await verify(house)


async def test_an_entry_exchanged_whole_is_caught_by_the_signed_tree(house: House, forge) -> None:
    """Leaf and payload fit each other, so only the root can tell."""
    await house.checkpoints.newest()
    forge(
        "UPDATE entries SET leaf = s.leaf, payload = s.payload"
        " FROM (SELECT leaf, payload FROM entries WHERE n = 8) AS s WHERE n = 7"
    )
    with pytest.raises(VerificationError, match=f"the first {ENTRIES} entries are not those"):
        await verify(house)


async def test_without_a_checkpoint_the_stored_tree_still_tells(house: House, forge) -> None:
    forge(
        "UPDATE entries SET leaf = s.leaf, payload = s.payload"
        " FROM (SELECT leaf, payload FROM entries WHERE n = 8) AS s WHERE n = 7"
    )
    with pytest.raises(VerificationError, match="not the tree of the stored entries"):
        await verify(house)


@pytest.mark.parametrize("index", [0, 7, ENTRIES - 1])
async def test_a_missing_entry_is_noticed_and_does_not_hang(house: House, forge, index: int) -> None:
    forge("DELETE FROM entries WHERE n = ?", index)
    with pytest.raises(VerificationError, match="entries are missing"):
        await verify(house)


async def test_entries_cut_off_while_nothing_ran_are_noticed(house: House, forge, tmp_path, keys) -> None:
    note = await house.checkpoints.newest()
    await house.books.close()
    forge("DELETE FROM entries WHERE n = ?", ENTRIES - 1)
    async with open_house(tmp_path, keys=keys) as again:
        with pytest.raises(VerificationError, match="its own newest checkpoint 40: entries are gone"):
            await verify(again)
        forge("DELETE FROM checkpoints")
        assert (await verify(again)).entries == ENTRIES - 1  # nothing here tells any more...
        with pytest.raises(VerificationError, match="you kept 40: entries are gone"):
            await verify(again, since=note)  # ...but what somebody kept does


async def test_a_checkpoint_by_another_key_is_refused(house: House, forge) -> None:
    other = LogPrivateKey.generate(house.log_key.origin, ENTROPY)
    head = await house.books.head()
    forged = other.sign_checkpoint(head.size, head.root, time_s=1)
    with pytest.raises(VerificationError, match="signed by another key"):
        await verify(house, since=forged)
    await house.checkpoints.newest()
    forge("UPDATE checkpoints SET note = ?", forged)
    with pytest.raises(VerificationError, match="signed by another key"):
        await verify(house)


async def test_a_note_that_is_none_is_refused(house: House) -> None:
    for note in (b"", b"\x00" * 100, b"a\n" * 100_000):
        with pytest.raises(VerificationError):
            await verify(house, since=note)


async def test_a_log_written_anew_by_the_owner_of_its_key_is_caught_by_a_kept_checkpoint(
    house: House, forge, keys: Keys
) -> None:
    """The forger has everything: rows, tree, key. The kept note is of the very size of the forged one."""
    kept = await house.checkpoints.newest()
    edge = Edge()
    leaves = await house.books.leaves(0, ENTRIES)
    for leaf in [*leaves[:7], leaves[8], *leaves[8:]]:
        edge.append(leaf_hash(leaf))
    forged = keys.log.sign_checkpoint(ENTRIES, edge.head().root, time_s=1)
    forge(
        "UPDATE entries SET leaf = s.leaf, payload = s.payload"
        " FROM (SELECT leaf, payload FROM entries WHERE n = 8) AS s WHERE n = 7"
    )
    forge("UPDATE checkpoints SET note = ?", forged)
    house.books._log.edge = edge  # as it is after a restart
    assert (await verify(house)).signed == ENTRIES  # within itself the forgery is perfect
    with pytest.raises(VerificationError, match="not those that were signed"):
        await verify(house, since=kept)


async def test_a_checkpoint_of_nothing_with_a_root_of_something_is_refused(house: House, keys: Keys) -> None:
    forged = keys.log.sign_checkpoint(0, b"\x01" * 32, time_s=1)
    with pytest.raises(VerificationError, match="the first 0 entries"):
        await verify(house, since=forged)


async def test_money_that_does_not_add_up_is_refused(house: House, forge) -> None:
    now_ns = CLOCK.now_ns()
    await house.books.commit(
        Reserve("r1", "key/ann", 500, "ann", "ann0", "openai", "gpt-4o", now_ns, "me", now_ns),
        Settle("r1", Usage(1, 1, 300), now_ns, CallOutcome.OK),
    )
    assert (await verify(house)).entries == ENTRIES
    forge("UPDATE accounts SET spent_usd_micros = 299 WHERE n = (SELECT n FROM names WHERE name = 'key/ann')")
    with pytest.raises(VerificationError, match=r"key/ann.* says 299, its rows 300"):
        await verify(house)
