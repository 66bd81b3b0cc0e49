"""Replies at rest: unreadable without the principal's key, and never more of them than were in force."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from tests.adapters.sqlite.support import drop_keys, open_books
from tests.contract.changes import append, settle
from tests.contract.replies_contract import claim, put

from macroslow.errors import DecryptionFailedError, NotFoundError
from macroslow.workflow.replies import Reply

SECRET = b"the answer that nobody else may read"


def execute(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(statement)
        connection.commit()


def count(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        (replies,) = connection.execute("SELECT count(*) FROM replies").fetchone()
        return int(replies)


async def test_an_erased_principals_answers_cannot_be_read_and_new_ones_can(tmp_path: Path) -> None:
    path = tmp_path / "books.sqlite"
    books = await open_books(path)
    await books.commit(claim("old"), put("old"), claim("k", principal="bob"), put("k", principal="bob"))
    await books.close()
    drop_keys(path, "alice")
    books = await open_books(path)
    with pytest.raises(DecryptionFailedError):
        await books.reply("alice", "old")
    assert await books.reply("bob", "k") is not None
    await books.commit(append(), claim("new"), put("new"))
    for _ in range(2):
        assert await books.reply("alice", "new") is not None
        with pytest.raises(DecryptionFailedError):
            await books.reply("alice", "old")
        await books.close()
        books = await open_books(path)
    await books.close()


async def test_no_body_or_header_stands_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "books.sqlite"
    books = await open_books(path)
    await books.commit(claim(), put(body=SECRET))
    await books.close()
    stored = path.read_bytes()
    assert SECRET not in stored
    assert b"application/json" not in stored


@pytest.mark.parametrize(
    "moved",
    [
        "UPDATE replies SET sealed = (SELECT sealed FROM replies WHERE key = 'b') WHERE key = 'a'",
        "UPDATE replies SET sealed = substr(sealed, 1, 40) WHERE key = 'a'",
        "UPDATE replies SET sealed = x'' WHERE key = 'a'",
        "UPDATE replies SET sealed = CAST(zeroblob(32) || substr(sealed, 33) AS BLOB) WHERE key = 'a'",
        "UPDATE replies SET sealed = substr(sealed, 1, length(sealed) - 1) WHERE key = 'a'",
    ],
)
async def test_an_answer_that_was_altered_or_moved_does_not_open(tmp_path: Path, moved: str) -> None:
    path = tmp_path / "books.sqlite"
    books = await open_books(path)
    await books.commit(claim("a"), put("a"), claim("b"), put("b", body=SECRET))
    execute(path, moved)
    with pytest.raises(DecryptionFailedError):
        await books.reply("alice", "a")
    await books.close()


async def test_expired_replies_go_as_new_ones_come_a_few_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "books.sqlite"
    books = await open_books(path)
    for n in range(40):
        await books.commit(claim(f"old{n}"), put(f"old{n}"))
    assert count(path) == 40
    await books.commit(claim("new0", now_ns=200, expires_ns=300))
    assert count(path) == 39, "one commit deletes no more than a few"
    for n in range(1, 30):
        await books.commit(claim(f"new{n}", now_ns=200, expires_ns=300))
    assert count(path) == 30
    await books.close()


async def test_a_claim_that_was_refused_deletes_nothing_and_takes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "books.sqlite"
    books = await open_books(path)
    await books.commit(claim("old"), put("old"))
    with pytest.raises(NotFoundError):
        await books.commit(claim("new", now_ns=900, expires_ns=999), settle("never", 1))
    assert count(path) == 1
    assert await books.reply("alice", "new") is None
    await books.commit(claim("new", now_ns=900, expires_ns=999))
    assert await books.reply("alice", "new") == Reply("ab" * 32, 900, 999)
    await books.close()
