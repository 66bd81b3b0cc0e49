"""What is asked while calls wait for it costs the same after a million calls as after ten."""

import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from tests.adapters.sqlite.support import open_books

from macroslow.adapters.sqlite import (
    _erasing,
    _held,
    _ledger,
    _ledger_reads,
    _log_reads,
    _receipts,
    _replies,
    _reply_reads,
    _statements,
)

PARTIAL = "accounts_open_children"
"""An index of a few rows among many."""


@pytest.mark.parametrize(
    ("query", "read_through"),
    [
        (_ledger._ACCOUNT, []),
        ("SELECT 1 FROM calls WHERE id = ?", []),
        (_replies._CLAIM, []),
        (_replies._OWNER, []),
        (_statements.DELETE_EXPIRED_REPLIES, []),
        (_statements.DELETE_RESERVATION, []),
        (_statements.with_rows(_statements.DELETE_RESERVATION, 16), []),
        (_reply_reads._REPLY, []),
        (_reply_reads._BOUND_ID, []),
        (_ledger_reads._RECENT, ["reservations"]),
        (_ledger_reads._OPEN_RESERVATIONS, ["r"]),
        (_ledger_reads._OF_RUN, []),
        (_ledger_reads._DAILY, []),
        (_ledger_reads._ACCOUNTS + "WHERE i.name = ?", []),
        (_ledger_reads._ACCOUNTS + "WHERE a.parent IS NOT NULL AND a.closed = 0 ORDER BY a.n", []),
        (_ledger_reads._IN_FORCE, []),
        (_ledger_reads._OF_KEYS, ["k"]),
        (_receipts.KEPT, []),
        (_statements.DELETE_EXPIRED_RECEIPTS, []),
        (_statements.PUT_SUBJECT_TILES, []),
        (_held._TILES, []),
        (_held.HELD, []),
        (_log_reads._ENTRIES, []),
        (_log_reads._WANTED, []),
        (_log_reads._PARTS, []),
        (_erasing._PARTS, []),
        ("SELECT size, note, token FROM anchors WHERE size > ? ORDER BY size LIMIT 1", []),
    ],
    ids=range(27),
)
async def test_only_tables_that_stay_small_are_read_through(
    tmp_path: Path, query: str, read_through: list[str]
) -> None:
    path = tmp_path / "books.sqlite"
    await (await open_books(path)).close()
    with closing(sqlite3.connect(path)) as connection:
        named = dict.fromkeys(re.findall(r":(\w+)", query), 0)
        values = named or (0,) * (len(set(re.findall(r"\?\d+", query))) or query.count("?"))
        plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {query}", values)]
    scans = [step for step in plan if step.startswith("SCAN ") and not step.endswith(PARTIAL)]
    assert sorted({step.split()[1] for step in scans} & {*"abceikmnoprstuv", *_tables(path)}) == read_through


def _tables(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        return [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
