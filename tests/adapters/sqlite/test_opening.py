"""Opening: what is no sound file of books is refused with a repair, and left as it was."""

import os
import shutil
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.adapters.sqlite.support import open_books
from tests.contract.changes import accept, append, money, reserve, settle

from macroslow.errors import ConfigurationError, ConflictError
from macroslow.metering.ledger import OpenAccount
from macroslow.tlog.ports import StoreCheckpoint


async def filled(path: Path) -> None:
    books = await open_books(path)
    await books.commit(
        OpenAccount("a", 100), reserve("open", "a", 7), reserve("done", "a", 9), settle("done", 5)
    )
    await books.commit(accept("run"), *(append(n) for n in range(600)))
    await books.commit(StoreCheckpoint(600, b"note"))
    await books.close()


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def text(path: Path) -> None:
    path.write_text("these are no books, only prose that is long enough for a header " * 90)


def cut_short(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def of_another_program(path: Path) -> None:
    path.unlink()
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE bookmarks (url TEXT)")
    connection.close()


def from_the_future(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 999")
    connection.close()


def from_nobody(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 0")
    connection.close()


def without_an_entry(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("DELETE FROM entries WHERE n = 590")
    connection.close()


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (emptied, "is empty"),
        (text, "not an SQLite database"),
        (cut_short, "damaged or cut short"),
        (of_another_program, "another program"),
        (from_the_future, "schema 999"),
        (from_nobody, "schema 0"),
        (without_an_entry, "log in .* is damaged"),
    ],
)
async def test_a_damaged_file_is_refused_with_a_repair_and_not_touched(
    tmp_path: Path, damage: Callable[[Path], None], says: str
) -> None:
    path = tmp_path / "books.sqlite"
    await filled(path)
    damage(path)
    before = path.read_bytes()
    with pytest.raises(ConfigurationError, match=says) as refused:
        await open_books(path)
    assert refused.value.fix
    if damage in {emptied, text, cut_short, without_an_entry}:
        assert "restore the newest backup" in refused.value.fix
    assert path.read_bytes() == before


async def test_subjects_keys_of_another_schema_are_refused_and_not_touched(tmp_path: Path) -> None:
    await filled(tmp_path / "books.sqlite")
    keys = tmp_path / "subjects.sqlite"
    from_the_future(keys)
    before = keys.read_bytes()
    with pytest.raises(ConfigurationError, match=r"subjects.sqlite has schema 999") as refused:
        await open_books(tmp_path / "books.sqlite")
    assert "version of Macroslow that wrote it" in refused.value.fix
    assert keys.read_bytes() == before


async def test_a_missing_file_beside_its_write_ahead_log_is_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "books.sqlite"
    path.with_name("books.sqlite-wal").write_bytes(b"committed pages")
    with pytest.raises(ConfigurationError, match="is missing"):
        await open_books(path)
    assert not path.exists()


async def test_books_that_were_lost_are_not_begun_anew(tmp_path: Path) -> None:
    """What was sealed in them has its keys beside them, so they were no new ones."""
    path = tmp_path / "books.sqlite"
    await filled(path)
    path.unlink()
    with pytest.raises(ConfigurationError, match=r"is missing, but subjects.sqlite .* lost") as refused:
        await open_books(path)
    assert "restore the newest backup" in refused.value.fix
    assert not path.exists()
    for command in refused.value.fix.partition(": ")[2].split("; "):
        subprocess.run(command.split(), check=True)
    books = await open_books(path)
    assert (await books.head()).size == 0
    await books.close()


async def test_without_leave_to_begin_nothing_is_made(tmp_path: Path) -> None:
    path = tmp_path / "books.sqlite"
    with pytest.raises(ConfigurationError, match="is missing") as refused:
        await open_books(path, begin=False)
    assert f"touch {path}" in refused.value.fix
    assert list(tmp_path.iterdir()) == []
    path.touch()
    with pytest.raises(ConfigurationError, match="nothing was kept in it yet"):
        await open_books(path, begin=False)
    assert [(file.name, file.stat().st_size) for file in tmp_path.iterdir()] == [("books.sqlite", 0)]


async def test_a_first_creation_that_was_cut_off_is_begun_again(tmp_path: Path) -> None:
    path = tmp_path / "books.sqlite"
    path.touch(0o644)
    (tmp_path / "books.sqlite.new").write_bytes(b"half a page")
    (tmp_path / "books.sqlite.new-journal").write_bytes(b"of pages before it")
    books = await open_books(path)
    assert (await books.head()).size == 0
    await books.close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not list(tmp_path.glob("*.new*"))


@pytest.mark.parametrize("name", ["books.sqlite", "subjects.sqlite"])
async def test_an_empty_file_beside_its_write_ahead_log_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / "books.sqlite"
    if name == "subjects.sqlite":
        await filled(path)
    (tmp_path / name).write_bytes(b"")
    wal = tmp_path / f"{name}-wal"
    wal.write_bytes(b"committed pages")
    with pytest.raises(ConfigurationError, match=f"{name} is empty, but its write-ahead log"):
        await open_books(path)
    assert (wal.read_bytes(), (tmp_path / name).stat().st_size) == (b"committed pages", 0)


async def test_a_missing_folder_is_a_configuration_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be opened"):
        await open_books(tmp_path / "nowhere" / "books.sqlite")


async def test_new_books_are_for_their_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "books.sqlite"
    await filled(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_everything_is_there_again_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "books.sqlite"
    await filled(path)
    books = await open_books(path)
    assert await money(books, "a") == (5, 7)
    assert [held.id for held in await books.open_reservations()] == ["open"]
    assert [run.id for run in await books.running()] == ["run"]
    assert await books.checkpoint() == (600, b"note")
    with pytest.raises(ConflictError, match="before"):
        await books.commit(reserve("done", "a", 1))
    head = await books.head()
    await books.commit(settle("open", 7), append(600))
    assert await money(books, "a") == (12, 0)
    assert (head.size, (await books.head()).size) == (600, 601)
    await books.close()


async def test_a_copy_of_the_files_taken_right_after_a_commit_holds_it(tmp_path: Path) -> None:
    books = await open_books(tmp_path / "books.sqlite")
    await books.commit(OpenAccount("a", 100), append())
    (tmp_path / "copy").mkdir()
    for file in tmp_path.glob("*.sqlite*"):
        if not file.name.endswith("-shm"):
            shutil.copy(file, tmp_path / "copy")
    twin = await open_books(tmp_path / "copy" / "books.sqlite")
    assert await twin.head() == await books.head()
    assert await money(twin, "a") == (0, 0)
    await twin.close()
    await books.close()


_READ_ONLY = """
import asyncio, os, sys
from pathlib import Path
from tests.adapters.sqlite.support import open_books
from macroslow.errors import ConfigurationError, ConflictError
path = Path(sys.argv[1])
if os.geteuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
try:
    asyncio.run(open_books(path))
except ConfigurationError as error:
    print(error.detail, error.fix)
"""


async def test_a_file_that_may_only_be_read_is_refused_at_start(tmp_path: Path) -> None:
    path = tmp_path / "books.sqlite"
    await filled(path)
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(0o755)
    path.chmod(0o444)
    tmp_path.chmod(0o555)
    try:
        answer = subprocess.run(
            [sys.executable, "-c", _READ_ONLY, str(path)],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
    finally:
        tmp_path.chmod(0o700)
    assert "write" in answer.stdout, answer.stderr
