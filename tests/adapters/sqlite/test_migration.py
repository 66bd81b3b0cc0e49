"""Books of schema 1, as an older gateway wrote them, open: nothing of log and ledger is lost or altered."""

import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from tests.adapters.sqlite.support import open_books
from tests.contract.books_contract import KEY, SIGNER
from tests.contract.changes import append, money, reserve, settle

from macroslow.adapters.sqlite import SqliteBooks
from macroslow.adapters.sqlite._migrations import MIGRATIONS
from macroslow.errors import ConfigurationError
from macroslow.metering.ledger import Budget, UsageRow
from macroslow.tlog.leaf import check_opening, leaf_hash
from macroslow.tlog.tree import root_of

SCHEMA_1 = Path(__file__).with_name("books_v1.sql")
VICTIM = Path(__file__).with_name("migration_victim.py")
HEAD = "7dc001638fed508c52058ba240a82ce8a687bbbe907f88bf5c165be7ea2ce714"
KEPT = (
    "names", "accounts", "reservations", "calls", "entries", "tiles", "checkpoints", "runs",
    "objects", "signers",
)  # fmt: skip
"""Tables whose columns all stayed; keys are written anew, and compared as what they mean."""


@pytest.fixture
def older(tmp_path: Path) -> Path:
    path = tmp_path / "books.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(SCHEMA_1.read_text())
        connection.execute("PRAGMA journal_mode = WAL")
    return path


def columns(path: Path, table: str) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        return [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]


def rows(path: Path, table: str, wanted: list[str]) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(f"SELECT {', '.join(wanted)} FROM {table} ORDER BY 1").fetchall()


def shape(path: Path) -> Iterator[object]:
    """Each table's columns and each index, whatever their text."""
    with closing(sqlite3.connect(path)) as connection:
        for kind, name, table in connection.execute("SELECT type, name, tbl_name FROM sqlite_master"):
            query = f"PRAGMA {kind}_info({name})"
            yield kind, name, table, [row[:4] + row[5:] for row in connection.execute(query)]


async def assert_sound(books: SqliteBooks) -> None:
    """Everything that schema 1 held is there and verifies."""
    head = await books.head()
    leaves = await books.leaves(0, 3)
    assert (head.size, head.root.hex()) == (3, HEAD)
    assert head.root == root_of([leaf_hash(leaf) for leaf in leaves])
    for index, leaf in enumerate(leaves):
        entry = await books.entry(index)
        assert entry is not None
        check_opening(leaf, entry.event, entry.salt)
    assert await books.checkpoint() == (3, b"note")
    assert await books.keys() == [KEY]
    assert await books.signers() == [SIGNER]
    assert await books.sealed_object("run-1", "document") == ("alice", b"\0sealed")
    assert [run.id for run in await books.running()] == ["run-1"]
    assert await books.audit_ledger() == []
    assert await money(books, "key/k1") == (40, 209)
    assert [(held.id, held.owner, held.expires_ns) for held in await books.open_reservations()] == [
        ("r2", "", 0),
        ("r4", "", 0),
    ]
    assert await books.usage("provider") == [UsageRow("openai", 2, 20, 40, 47, 0, None)]
    assert await books.usage("team") == [UsageRow("", 2, 20, 40, 47, 0, None)]


async def test_older_books_open_with_every_byte_of_log_and_ledger(older: Path) -> None:
    before = {table: (columns(older, table), rows(older, table, columns(older, table))) for table in KEPT}
    assert all(found for table, (_, found) in before.items() if table != "tiles")
    books = await open_books(older)
    await assert_sound(books)
    await books.close()
    for table, (known, found) in before.items():
        assert rows(older, table, known) == found


async def test_migrated_books_go_on(older: Path) -> None:
    books = await open_books(older)
    day = Budget("key/k1/day/1970-01-01", 100)
    await books.commit(reserve("r5", "key/k1", 60, budgets=(day,), team="lab", owner="me"))
    await books.commit(settle("r5", 50), settle("r2", 60), settle("r4", 9), append())
    assert await money(books, day.id) == (50, 0)
    assert await books.audit_ledger() == []
    assert [row.key for row in await books.usage("team")] == ["", "lab"]
    await books.close()
    books = await open_books(older)
    assert (await books.head()).size == 4
    await books.close()


async def test_migrated_books_have_the_tables_of_new_ones(older: Path, tmp_path: Path) -> None:
    await (await open_books(older)).close()
    (tmp_path / "new").mkdir()
    new = tmp_path / "new" / "books.sqlite"
    await (await open_books(new)).close()
    assert sorted(map(str, shape(older))) == sorted(map(str, shape(new)))


@pytest.mark.parametrize("statements", [0, 1, 7, len(MIGRATIONS[1]) // 2, len(MIGRATIONS[1])])
async def test_a_migration_that_is_killed_leaves_books_that_open(older: Path, statements: int) -> None:
    killed = subprocess.run(
        [sys.executable, str(VICTIM), str(older), "1", str(statements)],
        cwd=Path(__file__).parents[3],
        env={"PYTHONPATH": "."},
        check=False,
        timeout=60,
    )
    assert killed.returncode == -signal.SIGKILL
    with closing(sqlite3.connect(older)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (1,)
    books = await open_books(older)
    await assert_sound(books)
    await books.close()


async def test_a_damaged_log_is_found_before_anything_is_migrated(older: Path) -> None:
    with closing(sqlite3.connect(older)) as connection:
        connection.execute("DELETE FROM entries WHERE n = 1")
        connection.commit()
    before = older.read_bytes()
    with pytest.raises(ConfigurationError, match=r"log in .* is damaged"):
        await open_books(older)
    assert older.read_bytes() == before


async def test_a_write_ahead_log_of_older_books_is_migrated_too(older: Path, tmp_path: Path) -> None:
    """An older gateway that was killed leaves its last commits there."""
    with closing(sqlite3.connect(older)) as connection:
        connection.execute("UPDATE keys SET note = 'noted late'")
        connection.commit()
        (tmp_path / "copy").mkdir()
        for file in tmp_path.glob("books.sqlite*"):
            if not file.name.endswith("-shm"):
                shutil.copy(file, tmp_path / "copy")
    assert (tmp_path / "copy" / "books.sqlite-wal").exists()
    books = await open_books(tmp_path / "copy" / "books.sqlite")
    assert [key.note for key in await books.keys()] == ["noted late"]
    assert await books.audit_ledger() == []
    await books.close()
