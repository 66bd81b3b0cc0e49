"""The last use of a key: kept by the minute, written in batches, known again after a restart."""

import pytest
from tests.services.key_house import START_NS, KeyHouse

from macroslow.errors import CredentialError, LogUnavailableError
from macroslow.ports import MINUTE_NS
from macroslow.services.identity.authenticate import Credentials
from macroslow.services.identity.key_verbs import KeyVerbs
from macroslow.services.identity.note_key_uses import NoteKeyUses
from macroslow.services.identity.wished_keys import NewKey

FIRST_MINUTE_NS = START_NS // MINUTE_NS * MINUTE_NS


class Counting:
    """Books that count their commits."""

    def __init__(self, house: KeyHouse) -> None:
        self._books = house.books
        self.sizes: list[int] = []

    async def commit(self, *changes: object) -> object:
        self.sizes.append(len(changes))
        return await self._books.commit(*changes)  # type: ignore[arg-type]


async def test_uses_are_written_once_a_minute_and_key_and_known_after_a_restart() -> None:
    house = KeyHouse()
    keys = [await house.keys.create(NewKey("alice")) for _ in range(3)]
    books = Counting(house)
    note = NoteKeyUses(books, house.keyring)  # type: ignore[arg-type]
    await note.flush()
    for _ in range(5):
        for key in keys[:2]:
            await house.authenticate(Credentials(key.text.encode()))
        house.clock.time_ns += 1_000_000_000
    await note.flush()
    await note.flush()
    assert books.sizes == [2]
    restarted = await house.restarted()
    used = [restarted.keys.last_used_ns(key.record) for key in keys]
    assert used == [FIRST_MINUTE_NS, FIRST_MINUTE_NS, None]
    house.clock.time_ns += MINUTE_NS
    await house.authenticate(Credentials(keys[0].text.encode()))
    await note.flush()
    assert books.sizes == [2, 1]
    shown = await KeyVerbs(restarted.keys).show(key_id=keys[0].record.id)
    assert shown["last_used_at"] == "2023-11-14T22:14:00+00:00"  # type: ignore[index]


async def test_a_refused_key_was_not_used() -> None:
    house = KeyHouse()
    made = await house.keys.create(NewKey("alice", addresses=("10.0.0.0/8",)))
    with pytest.raises(CredentialError):
        await house.authenticate(Credentials(made.text.encode(), address="192.0.2.1"))
    assert house.keys.last_used_ns(made.record) is None


async def test_what_could_not_be_written_is_written_later() -> None:
    house = KeyHouse()
    made = await house.keys.create(NewKey("alice"))
    await house.authenticate(Credentials(made.text.encode()))
    note = NoteKeyUses(house.books, house.keyring)
    house.books.fail_next_commit = True
    with pytest.raises(LogUnavailableError):
        await note.flush()
    await note.flush()
    assert await house.books.key_uses() == {made.record.id: FIRST_MINUTE_NS}
