"""Subjects' keys in a database of their own: what is erased is in no file, whatever is killed or restored."""

import asyncio
import os
import random
import shutil
import sqlite3
import stat
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tests.adapters.sqlite.support import drop_keys, open_books
from tests.contract.log_contract import ACTIVITY, ALL, SAID, changed, erase, event, keep_everything, told

from macroslow.adapters.sqlite import SqliteBooks, _group, _schema
from macroslow.errors import ConfigurationError, LogUnavailableError
from macroslow.tlog.leaf import leaf_hash
from macroslow.tlog.tree import root_of
from macroslow.workflow.books import Change
from macroslow.workflow.journal import PutObject

FILES = ("books.sqlite", "books.sqlite-wal", "subjects.sqlite", "subjects.sqlite-wal")
LABEL = b"subject-key|alice|"


def raw(folder: Path) -> bytes:
    return b"".join((folder / name).read_bytes() for name in FILES if (folder / name).exists())


def wrapped_keys(folder: Path) -> list[bytes]:
    with closing(sqlite3.connect(folder / "subjects.sqlite")) as connection:
        return [wrapped for (wrapped,) in connection.execute("SELECT wrapped FROM keys")]


async def sound(books: SqliteBooks) -> None:
    head = await books.head()
    leaves = await books.leaves(0, head.size + 1)
    assert (head.size, head.root) == (len(leaves), root_of([leaf_hash(leaf) for leaf in leaves]))


async def test_no_file_holds_what_was_erased_and_all_hold_the_rest(tmp_path: Path) -> None:
    """Subject after subject, in an order that has nothing to do with where they lie."""
    names = [f"subject-{n:02}" for n in range(24)]
    chosen = random.Random(5)
    books = await open_books(tmp_path / "books.sqlite")
    await keep_everything(books, *names)
    await books.commit(*(PutObject(f"run-{name}", "large", name, os.urandom(9_000)) for name in names))
    for at in range(30):
        some = [chosen.choice(names) for _ in range(20)]
        await books.commit(*(event(at * 20 + n, name) for n, name in enumerate(some)))
        await books.commit(changed(at, some[0], others=f"{some[1]} {some[2]}"))
    sealed = {name: await all_sealed(books, name, tmp_path) for name in names}
    stored = raw(tmp_path)
    assert all(one in stored for ciphertexts in sealed.values() for one in ciphertexts)
    chosen.shuffle(names)
    for number, name in enumerate(names):
        held = await books.held_entries(name, ALL, 0, 1_000)
        sealed[name] = await all_sealed(books, name, tmp_path)
        change = erase(len(held), subject=name)
        await books.commit(type(change)(name, ALL, len(held), f"erased-{number}"), SAID)
        stored = raw(tmp_path)
        assert not [one for one in sealed[name] if one in stored]
    await sound(books)
    await books.close()


async def all_sealed(books: SqliteBooks, name: str, folder: Path) -> list[bytes]:
    """Pieces of the subject's keys, and of all that is sealed of theirs: entries, parts and objects."""
    found = [
        wrapped for wrapped in wrapped_keys(folder) if wrapped.startswith(f"subject-key|{name}|".encode())
    ]
    for one in await books.held_entries(name, ALL, 0, 1_000):
        (logged,) = await books.entries(one.index, 1)
        if logged.subject == name:
            found.append((await books.stored(one.index, one.index + 1))[0][1][-40:])
    with closing(sqlite3.connect(folder / "books.sqlite")) as connection:
        for table in ("parts", "objects"):
            query = f"SELECT sealed FROM {table} JOIN names s ON s.n = subject WHERE name = ?"
            rows = connection.execute(query, (name,)).fetchall()
            assert rows or table == "parts"
            found += [sealed[-40:] for (sealed,) in rows if len(sealed) > 40 and any(sealed[9:])]
    return found


async def test_the_files_are_for_their_owner_alone(tmp_path: Path) -> None:
    books = await open_books(tmp_path / "books.sqlite")
    await books.commit(event(0))
    assert {stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()} == {0o600}
    await books.close()


async def test_no_key_and_no_subject_stands_in_the_wrong_file(tmp_path: Path) -> None:
    books = await open_books(tmp_path / "books.sqlite")
    await books.commit(event(0))
    await books.close()
    assert LABEL not in (tmp_path / "books.sqlite").read_bytes()
    assert LABEL in (tmp_path / "subjects.sqlite").read_bytes()


async def test_books_whose_keys_are_missing_are_not_opened(tmp_path: Path) -> None:
    path, keys = tmp_path / "books.sqlite", tmp_path / "subjects.sqlite"
    books = await open_books(path)
    await books.commit(event(0))
    await books.close()
    keys.rename(tmp_path / "elsewhere")
    before = path.read_bytes()
    with pytest.raises(ConfigurationError, match=r"subjects.sqlite is missing") as refused:
        await open_books(path)
    assert f"touch {keys}" in refused.value.fix
    assert not keys.exists()
    assert path.read_bytes() == before
    (tmp_path / "elsewhere").rename(keys)
    books = await open_books(path)
    assert await told(books) == [(0, "alice", 0, None)]
    await books.close()


async def test_an_empty_file_of_keys_says_go_on_without(tmp_path: Path) -> None:
    path, keys = tmp_path / "books.sqlite", tmp_path / "subjects.sqlite"
    books = await open_books(path)
    await books.commit(event(0), event(1, "bob"))
    await books.close()
    keys.write_bytes(b"")
    keys.chmod(0o644)
    books = await open_books(path)
    assert stat.S_IMODE(keys.stat().st_mode) == 0o600
    await books.commit(event(2))
    assert await told(books) == [(0, "alice", None, None), (1, "bob", None, None), (2, "alice", 2, None)]
    await sound(books)
    await books.commit(erase(2), SAID)
    await books.close()


@pytest.mark.parametrize("content", [b"no database at all, though long enough " * 40, None])
async def test_another_file_in_the_place_of_the_keys_is_refused(
    tmp_path: Path, content: bytes | None
) -> None:
    path, keys = tmp_path / "books.sqlite", tmp_path / "subjects.sqlite"
    books = await open_books(path)
    await books.commit(event(0))
    await books.close()
    keys.write_bytes(path.read_bytes() if content is None else content)
    before = keys.read_bytes()
    with pytest.raises(ConfigurationError) as refused:
        await open_books(path)
    assert refused.value.fix
    assert keys.read_bytes() == before


async def test_a_backup_of_the_books_alone_opens_beside_newer_keys(tmp_path: Path) -> None:
    """What was erased since stays unreadable; whoever came since has his key; new names take old numbers."""
    path, backup = tmp_path / "books.sqlite", tmp_path / "backup"
    books = await open_books(path)
    await books.commit(event(0), event(1, "bob"), changed(2, "bob", others="alice"))
    await books.close()
    shutil.copy(path, backup)
    books = await open_books(path)
    await books.commit(event(3, "carol"))
    await books.commit(erase(2), SAID)
    await books.commit(event(5, "alice"))
    await books.close()
    shutil.copy(backup, path)
    books = await open_books(path)
    assert await told(books) == [(0, "alice", None, None), (1, "bob", 1, None), (2, "bob", 2, None)]
    assert (await books.entries(2, 1))[0].others == (None,)
    await books.commit(event(3, "dave"), event(4, "carol"), event(5, "alice"))
    assert [number for _, _, number, _ in await told(books)] == [None, 1, 2, 3, 4, 5]
    await sound(books)
    await books.commit(erase(3), SAID)
    assert [number for _, _, number, _ in await told(books)][:6] == [None, 1, 2, 3, 4, None]
    await books.close()


async def killed_at_every_step(path: Path, *changes: Change) -> list[Path]:
    """Commit `changes`, and before each SQL statement of the writer copy the files: as a kill leaves them."""
    books, images = await open_books(path), list[Path]()
    writing: Any = books._group._transaction

    def copied(_statement: str) -> None:
        images.append(path.parent / f"image-{len(images):02}")
        images[-1].mkdir()
        for name in FILES:
            if (path.parent / name).exists():
                shutil.copy(path.parent / name, images[-1])

    for connection in (writing._connection, writing._subjects._connection):
        connection.set_trace_callback(copied)
    await books.commit(*changes)
    copied("the end")
    for connection in (writing._connection, writing._subjects._connection):
        connection.set_trace_callback(None)
    await books.close()
    return images


async def test_an_erasure_that_is_killed_happened_wholly_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "books.sqlite"
    books = await open_books(path)
    await books.commit(event(0), event(1, "bob"), event(2), changed(3, "bob", others="alice"))
    ciphertext = (await books.stored(0, 1))[0][1][-40:]
    await books.close()
    keys = [wrapped for wrapped in wrapped_keys(tmp_path) if wrapped.startswith(LABEL)]
    outcomes = []
    for folder in await killed_at_every_step(path, erase(3), SAID, event(7)):
        books = await open_books(folder / "books.sqlite")
        erased = (await books.head()).size > 4
        stored = raw(folder)
        assert [key in stored for key in keys] == [not erased] * 2
        assert (ciphertext in stored) == (not erased)
        numbers = [number for _, _, number, _ in await told(books)]
        assert numbers == ([None, 1, None, 3, None, 7] if erased else [0, 1, 2, 3])
        assert [one.erased_by for one in await books.entries(0, 3)] == (
            [4, None, 4] if erased else [None] * 3
        )
        await books.commit(event(8))
        assert [number for _, _, number, _ in await told(books)] == [*numbers, 8]
        await sound(books)
        await books.close()
        outcomes.append(erased)
    assert outcomes == sorted(outcomes)
    assert outcomes.count(True) > 5, "there are steps after the erasure is durable"
    assert outcomes.count(False) > 5


async def test_a_first_entry_that_is_killed_leaves_a_key_that_harms_nobody(tmp_path: Path) -> None:
    path = tmp_path / "books.sqlite"
    books = await open_books(path)
    await books.commit(event(0))
    await books.close()
    orphans = 0
    for folder in await killed_at_every_step(path, event(7, "newcomer")):
        books = await open_books(folder / "books.sqlite")
        size = (await books.head()).size
        orphans += size == 1 and len(wrapped_keys(folder)) == 2
        await books.commit(event(7, "newcomer"))
        assert [number for _, _, number, _ in await told(books)] == [0, *[7] * size]
        assert len(wrapped_keys(folder)) == 2
        await sound(books)
        await books.close()
    assert orphans > 0


async def test_an_erasure_beside_a_reader_is_finished_when_the_reader_is(tmp_path: Path) -> None:
    """A reader that holds a snapshot keeps the write-ahead log; the next commit after it empties that."""
    path = tmp_path / "books.sqlite"
    books = await open_books(path)
    await books.commit(event(0), event(1, "bob"))
    ciphertext = (await books.stored(0, 1))[0][1][-40:]
    reader = sqlite3.connect(path, isolation_level=None)
    reader.execute("BEGIN")
    assert reader.execute("SELECT count(*) FROM entries").fetchone() == (2,)
    await books.commit(erase(1), SAID)
    assert LABEL not in (tmp_path / "subjects.sqlite").read_bytes()
    assert [number for _, _, number, _ in await told(books)] == [None, 1, None]
    await books.commit(event(3))
    assert [number for _, _, number, _ in await told(books)] == [None, 1, None, 3]
    reader.execute("COMMIT")
    reader.close()
    await books.commit(event(4))
    assert ciphertext not in raw(tmp_path)
    assert [number for _, _, number, _ in await told(books)] == [None, 1, None, 3, 4]
    await books.close()


async def test_an_erasure_beside_a_reader_is_finished_without_another_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_group, "FINISH_EVERY_S", 0.02)
    path = tmp_path / "books.sqlite"
    books = await open_books(path)
    await books.commit(event(0), event(1, "bob"))
    ciphertext = (await books.stored(0, 1))[0][1][-40:]
    with closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        assert reader.execute("SELECT count(*) FROM entries").fetchone() == (2,)
        await books.commit(erase(1), SAID)
        assert ciphertext in raw(tmp_path)
    async with asyncio.timeout(60):
        while ciphertext in raw(tmp_path):
            await asyncio.sleep(0.02)
    await books.close()


async def test_a_new_key_beside_what_another_sealed_is_not_made_silently(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """An old copy of the keys beside newer books: whoever came since has none in it."""
    path, keys = tmp_path / "books.sqlite", tmp_path / "subjects.sqlite"
    books = await open_books(path)
    await books.commit(event(0, "bob"))
    await books.close()
    copy = keys.read_bytes()
    books = await open_books(path)
    await books.commit(
        *(event(n) for n in range(1, 300)), event(300, "cy"), changed(301, "bob", others="dee")
    )
    await books.close()
    assert not caplog.records
    keys.write_bytes(copy)
    books = await open_books(path)
    await books.commit(event(302, "bob"), event(303, "new"))
    assert not caplog.records
    await books.commit(event(304))
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert "entry 1 " in record.getMessage()
    assert "macroslow audit verify" in record.getMessage()
    await books.commit(event(305, "cy"), changed(306, "dee"))  # said once
    assert len(caplog.records) == 1
    await books.close()


async def test_the_new_key_of_who_was_erased_and_comes_back_is_no_alarm(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    books = await open_books(tmp_path / "books.sqlite")
    await books.commit(event(0), changed(1))
    await books.commit(type(erase(1))("alice", ACTIVITY, 1, "erased-1"), SAID, event(3))
    await books.commit(event(4))
    held = len(await books.held_entries("alice", ALL, 0, 9))
    await books.commit(erase(held), SAID)
    await books.commit(event(6), changed(7))
    await books.close()
    assert not caplog.records


async def test_two_processes_never_seal_under_a_key_that_one_of_them_erased(tmp_path: Path) -> None:
    first = await open_books(tmp_path / "books.sqlite")
    second = await open_books(tmp_path / "books.sqlite")
    await first.commit(event(0), event(1, "bob"))
    await second.commit(event(2))
    await first.commit(erase(2), SAID)
    await second.commit(event(4), event(5, "bob"))
    await first.commit(event(6))
    for books in (first, second):
        assert [number for _, _, number, _ in await told(books)] == [None, 1, None, None, 4, 5, 6]
    await first.close()
    await second.close()


async def test_an_erasure_that_cannot_be_finished_is_not_acknowledged_and_finished_before_all_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The keys cannot be written: whoever asked is told, and nothing is logged until they are destroyed."""
    monkeypatch.setattr(_schema, "BUSY_TIMEOUT_S", 0.01)
    books = await open_books(tmp_path / "books.sqlite")
    await books.commit(event(0), event(1, "bob"), SAID)
    with closing(sqlite3.connect(tmp_path / "subjects.sqlite", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        for change in ([erase(1), SAID], [event(9, "bob")]):
            with pytest.raises(LogUnavailableError):
                await books.commit(*change)
        other.execute("ROLLBACK")
    assert len([key for key in wrapped_keys(tmp_path) if key.startswith(LABEL)]) == 1
    await books.commit(event(4, "bob"))
    assert [number for _, _, number, _ in await told(books)] == [None, 1, None, None, 4]
    assert [key for key in wrapped_keys(tmp_path) if key.startswith(LABEL)] == []
    await books.close()


async def test_a_key_that_is_gone_and_a_class_that_is_not_are_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "books.sqlite"
    books = await open_books(path)
    await books.commit(event(0), changed(1, "alice", others="bob"))
    await books.commit(erase(1, ACTIVITY), SAID)
    await books.close()
    drop_keys(path, "bob")
    books = await open_books(path)
    assert [number for _, _, number, _ in await told(books)] == [None, 1, None]
    assert (await books.entries(1, 1))[0].others == (None,)
    await books.close()
