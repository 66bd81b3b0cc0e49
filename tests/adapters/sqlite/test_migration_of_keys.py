"""Books of schema 2 held their subjects' keys: those move to their own file once and leave nothing behind."""

import shutil
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from tests.adapters.sqlite.support import open_books
from tests.contract.log_contract import ALL, SAID, erase, told

from macroslow.adapters.sqlite import SqliteBooks
from macroslow.adapters.sqlite._migrations import MIGRATIONS
from macroslow.errors import ConfigurationError, DecryptionFailedError
from macroslow.tlog.event import EventClass
from macroslow.tlog.leaf import leaf_hash
from macroslow.tlog.tree import Edge
from macroslow.workflow.books import Wanted

SCHEMA_2 = Path(__file__).with_name("books_v2.sql")
VICTIM = Path(__file__).with_name("migration_victim.py")
HEAD = "3ab0ac742dc286a0b8a6cb20c0a59b05bbc74cfc42e8550ee76fd9f8ac5af713"
READABLE = [(n, ("alice", "bob")[n == 1], n, None) for n in range(5)]


def write_older(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(SCHEMA_2.read_text())
        connection.execute("PRAGMA journal_mode = WAL")


@pytest.fixture
def older(tmp_path: Path) -> Path:
    path = tmp_path / "books.sqlite"
    write_older(path)
    return path


async def assert_sound(books: SqliteBooks) -> None:
    head = await books.head()
    assert (head.size, head.root.hex()) == (5, HEAD)
    assert await told(books) == READABLE
    assert await books.checkpoint() == (4, b"note")
    assert await books.sealed_object("run-1", "document") == ("alice", b"\0sealed")
    reply = await books.reply("alice", "k")
    assert reply is not None
    assert reply.body == b"answer"
    assert await books.audit_ledger() == []


async def test_older_books_open_and_their_keys_lie_in_a_file_of_their_own(older: Path) -> None:
    keys = [b"subject-key|alice|", b"subject-key|bob|"]
    assert all(key in older.read_bytes() for key in keys)
    books = await open_books(older)
    await assert_sound(books)
    stored = older.read_bytes() + older.with_name("books.sqlite-wal").read_bytes()
    assert not any(key in stored for key in keys)
    await books.close()
    assert all(key in older.with_name("subjects.sqlite").read_bytes() for key in keys)
    books = await open_books(older)
    await assert_sound(books)
    await books.close()


async def test_migrated_subjects_are_found_and_erased_class_by_class(older: Path) -> None:
    books = await open_books(older)
    held = {kind: await books.held_entries("alice", frozenset({kind}), 0, 9) for kind in EventClass}
    assert [[one.index for one in held[kind]] for kind in EventClass] == [[0, 4], [2], [3]]
    await books.commit(erase(2, frozenset({EventClass.ACTIVITY})), SAID)
    assert [number for _, _, number, _ in await told(books)] == [None, 1, 2, 3, None, None]
    await books.commit(erase(2), SAID)
    assert [one[1] for one in await told(books)][:5] == ["erased-1", "bob", *["erased-1"] * 3]
    stored = b"".join(file.read_bytes() for file in older.parent.iterdir())
    assert b"subject-key|alice|" not in stored
    assert b"subject-key|bob|" in stored
    await books.close()


async def test_what_a_large_older_log_holds_of_a_subject_is_found(older: Path) -> None:
    with closing(sqlite3.connect(older)) as connection, connection:
        (last,) = connection.execute("SELECT max(n) FROM names").fetchone()
        connection.execute("INSERT INTO names VALUES (?, 'filler')", (last + 1,))
        leaves = [leaf for (leaf,) in connection.execute("SELECT leaf FROM entries ORDER BY n")]
        fill = [b"MSL1" + n.to_bytes(8, "big") + b"\0\x14" + n.to_bytes(64, "big") for n in range(5, 600)]
        rows = ((n, leaf, bytes(28), last + 1) for n, leaf in enumerate(fill, 5))
        connection.executemany("INSERT INTO entries VALUES (?, ?, ?, ?)", rows)
        edge = Edge()
        for tile in [tile for leaf in leaves + fill for tile in edge.append(leaf_hash(leaf))]:
            row = (tile.level, tile.index, tile.data, tile.root)
            connection.execute("INSERT INTO tiles VALUES (?, ?, ?, ?)", row)
    books = await open_books(older)
    assert [one.index for one in await books.held_entries("alice", ALL, 0, 99)] == [0, 2, 3, 4]
    found = await books.find(Wanted(subject="bob"), 0, 9)
    assert [one.index for one in found.entries] == [1]
    await books.close()


@pytest.mark.parametrize("statements", range(len(MIGRATIONS[2]) + 1))
async def test_a_migration_that_is_killed_leaves_books_that_open(older: Path, statements: int) -> None:
    killed = subprocess.run(
        [sys.executable, str(VICTIM), str(older), "2", str(statements)],
        cwd=Path(__file__).parents[3],
        env={"PYTHONPATH": "."},
        check=False,
        timeout=60,
    )
    assert killed.returncode == -signal.SIGKILL
    with closing(sqlite3.connect(older)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (2,)
    books = await open_books(older)
    await assert_sound(books)
    await books.close()


async def test_an_old_backup_does_not_bring_an_erased_key_back(older: Path, tmp_path: Path) -> None:
    backup = tmp_path / "backup"
    shutil.copy(older, backup)
    books = await open_books(older)
    await books.commit(erase(4), SAID)
    await books.close()
    shutil.copy(backup, older)
    books = await open_books(older)
    assert [number for _, _, number, _ in await told(books)] == [None, 1, None, None, None]
    with pytest.raises(DecryptionFailedError):
        await books.entry(0)
    await books.close()


async def test_keys_of_other_books_are_not_mixed_with_those_of_older_ones(tmp_path: Path) -> None:
    path = tmp_path / "books.sqlite"
    books = await open_books(path)
    await books.commit(SAID)
    await books.close()
    with closing(sqlite3.connect(tmp_path / "subjects.sqlite")) as connection:
        before = connection.execute("SELECT * FROM keys").fetchall()
    path.unlink()
    write_older(path)
    books = await open_books(path)  # nobody is in both: all their keys come along
    await assert_sound(books)
    await books.close()
    path.unlink()
    with closing(sqlite3.connect(tmp_path / "subjects.sqlite")) as connection, connection:
        assert connection.execute("SELECT * FROM keys").fetchall()[: len(before)] == before
        connection.execute("DELETE FROM imported")
    write_older(path)
    with pytest.raises(ConfigurationError, match="those of other books") as refused:
        await open_books(path)
    assert refused.value.fix
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (2,)
