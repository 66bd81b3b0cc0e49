"""A database of schema 1, as an older gateway made it, opens: nothing of log or ledger is lost or altered."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.adapters.postgres.support import open_books, sound
from tests.contract.books_contract import KEY, SIGNER
from tests.contract.changes import append, money, settle
from tests.postgres import PostgresServer

from macroslow.adapters.postgres import PostgresBooks
from macroslow.errors import ConfigurationError, DecryptionFailedError
from macroslow.tlog.event import Event, EventClass, EventType
from macroslow.tlog.leaf import check_opening
from macroslow.tlog.ports import Append, EraseSubject
from macroslow.workflow.replies import Reply

SCHEMA_1 = Path(__file__).with_name("books_v1.sql").read_text()
HEAD = "966d18072a0cb0444b198145307adce383ee54b5f8c2546b2bb5cc22ed7fe7f2"
SAID = Append(Event(EventType.SUBJECT_ERASED, 9_000, "the-gateway", {}))
KEPT = (
    "names", "accounts", "calls", "totals", "entries", "tiles", "checkpoints", "runs", "objects", "keys",
    "signers", "replies", "bound_ids",
)  # fmt: skip
KEYS = "SELECT subject, class FROM macroslow_subjects.keys ORDER BY 1, 2"
SHAPE = """
SELECT concat_ws(' ', table_schema, table_name, column_name, data_type, is_nullable, column_default,
    collation_name) AS line FROM information_schema.columns WHERE table_schema LIKE 'macroslow%'
UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname LIKE 'macroslow%'
UNION ALL SELECT conrelid::regclass || ' ' || pg_get_constraintdef(oid) FROM pg_constraint
    WHERE connamespace::regnamespace::text LIKE 'macroslow%'
ORDER BY 1
"""


@pytest.fixture
def older(server: PostgresServer) -> PostgresServer:
    server.sql(SCHEMA_1)
    return server


@asynccontextmanager
async def opened(server: PostgresServer) -> AsyncIterator[PostgresBooks]:
    books = await open_books(server.url, "newer")
    yield books
    await books.close()


def rows(server: PostgresServer) -> dict[str, str]:
    return {table: server.sql(f"SELECT * FROM macroslow.{table} ORDER BY 1, 2") for table in KEPT}


async def test_an_older_database_opens_with_every_byte_of_log_and_ledger(older: PostgresServer) -> None:
    before = rows(older)
    assert all(found for table, found in before.items() if table != "tiles")
    async with opened(older) as books:
        head = await books.head()
        assert (head.size, head.root.hex()) == (3, HEAD)
        for index, leaf in enumerate(await books.leaves(0, 3)):
            entry = await books.entry(index)
            assert entry is not None
            check_opening(leaf, entry.event, entry.salt)
        assert await books.checkpoint() == (3, b"note")
        assert await books.reply("alice", "k") == Reply("ab" * 32, 1, 10**18, 200, {"a": "b"}, b"answer")
        assert await books.sealed_object("run-1", "document") == ("alice", b"\0sealed")
        assert (await books.keys(), await books.signers()) == ([KEY], [SIGNER])
        assert await money(books, "key/k1") == (40, 200)
        await sound(books)
    assert rows(older) == before


async def test_it_goes_on_and_can_be_opened_again(older: PostgresServer) -> None:
    for size in (3, 4):
        async with opened(older) as books:
            await books.commit(settle("r2", 60), append(size, "alice"))
            assert (await books.head()).size == size + 1
            assert None not in [entry.event for entry in await books.entries(0, 9)]
            await sound(books)


async def test_a_subjects_key_goes_on_in_the_classes_that_it_sealed_something_of(
    older: PostgresServer,
) -> None:
    activity, security, administration = EventClass
    async with opened(older) as books:
        assert older.sql(KEYS).split() == [
            f"alice|{activity:d}",
            f"alice|{security:d}",
            f"bob|{activity:d}",
            f"bob|{administration:d}",
        ]
        await books.commit(EraseSubject("alice", frozenset({activity}), 1, "erased"), SAID)
        with pytest.raises(DecryptionFailedError):
            await books.entry(0)
        held = await books.entry(2)
        assert held is not None
        assert b"alice" in held.event
        await books.commit(EraseSubject("bob", frozenset({administration}), 1, "erased too"), SAID)
        assert older.sql(KEYS) == f"alice|{security:d}\nthe-gateway|{administration:d}", (
            "no key bears the name"
        )


async def test_its_tables_are_those_of_a_new_one(older: PostgresServer) -> None:
    async with opened(older):
        migrated = older.sql(SHAPE)
    older.sql("DROP SCHEMA macroslow, macroslow_subjects CASCADE")
    async with opened(older):
        assert older.sql(SHAPE) == migrated


async def test_a_migration_that_fails_leaves_the_older_database_as_it_was(older: PostgresServer) -> None:
    before, shape = rows(older), older.sql(SHAPE)
    older.sql("CREATE SCHEMA macroslow_subjects; CREATE VIEW macroslow_subjects.keys AS SELECT 1")
    with pytest.raises(ConfigurationError):
        await open_books(older.url)
    older.sql("DROP SCHEMA macroslow_subjects CASCADE")
    assert (rows(older), older.sql(SHAPE)) == (before, shape)
    async with opened(older) as books:
        assert (await books.head()).root.hex() == HEAD


async def test_processes_that_start_together_migrate_once(older: PostgresServer) -> None:
    together = await asyncio.gather(*(open_books(older.url, f"process {n}") for n in range(4)))
    await asyncio.gather(*(books.commit(append(n)) for n, books in enumerate(together)))
    assert {(await books.head()).size for books in together} == {7}
    for books in together:
        await books.close()
