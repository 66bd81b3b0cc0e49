"""Salts and nonces are drawn many at a time, and each is used once."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from tests.adapters.sqlite.support import open_books

from macroslow.crypto.rows import NONCE_BYTES
from macroslow.errors import NotFoundError
from macroslow.metering.ledger import CallOutcome, Settle, Usage
from macroslow.tlog.event import Event, EventType, PersonFields
from macroslow.tlog.leaf import SALT_BYTES
from macroslow.tlog.ports import Append

ENTRIES = 150  # more than two draws, with a part in every one
HEADER_BYTES = 1 + 32  # of the payload of a shared event with one part


def shared(number: int) -> Append:
    other = PersonFields("other", {"number": number})
    return Append(Event(EventType.REFUSED, number, "somebody", {"number": number}, (other,)))


async def test_no_salt_and_no_nonce_is_used_twice(tmp_path: Path) -> None:
    path = tmp_path / "books.sqlite"
    salts = []
    for first in (0, ENTRIES):  # opened twice
        books = await open_books(path)
        for number in range(first, first + ENTRIES):
            with pytest.raises(NotFoundError):  # a list that is refused after its event was sealed
                await books.commit(shared(number), Settle("nobody", Usage(0, 0, 0), 1, CallOutcome.OK))
            (entry,) = await books.commit(shared(number))
            salts += [entry.salt, *(part.salt for part in entry.others if part is not None)]
        await books.close()
    with closing(sqlite3.connect(path)) as connection:
        payloads = connection.execute("SELECT payload FROM entries").fetchall()
        parts = connection.execute("SELECT sealed FROM parts").fetchall()
    nonces = [payload[HEADER_BYTES:][:NONCE_BYTES] for (payload,) in payloads]
    nonces += [sealed[:NONCE_BYTES] for (sealed,) in parts]
    assert len(set(salts)) == len(salts) == len(set(nonces)) == len(nonces) == 4 * ENTRIES
    assert {len(salt) for salt in salts} == {SALT_BYTES}
