"""The books in PostgreSQL keep the contract."""

from collections.abc import AsyncIterator

import pytest
from tests.adapters.postgres.support import open_books
from tests.contract.books_contract import BooksContract
from tests.contract.log_contract import FullLogContract
from tests.postgres import PostgresServer

from macroslow.workflow.books import Books

EMPTY = """
DO $$
DECLARE relation regclass;
BEGIN
    IF to_regclass('macroslow.store') IS NOT NULL THEN
        SET LOCAL session_replication_role = replica; -- no order between the tables
        FOR relation IN SELECT oid FROM pg_class
            WHERE relkind = 'r' AND relnamespace::regnamespace::text IN ('macroslow', 'macroslow_subjects')
        LOOP
            EXECUTE format('DELETE FROM %s', relation);
        END LOOP;
        INSERT INTO macroslow.store (schema_version, size, root) VALUES (1, 0, sha256(''));
        INSERT INTO macroslow.names VALUES (0, '');
    END IF;
END $$
"""
"""Half as long as to make the tables anew, which many tests in a row would feel."""


@pytest.fixture(scope="module")
def made(running_server: PostgresServer) -> PostgresServer:
    """The server, at first without any tables."""
    running_server.sql("DROP SCHEMA IF EXISTS macroslow, macroslow_subjects CASCADE")
    return running_server


class TestPostgresBooks(BooksContract, FullLogContract):
    @pytest.fixture
    async def books(self, made: PostgresServer) -> AsyncIterator[Books]:
        made.sql(EMPTY)
        books = await open_books(made.url)
        yield books
        await books.close()
