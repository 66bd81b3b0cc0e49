"""One server for a process's tests; each test finds it empty."""

from collections.abc import Iterator

import pytest
from tests.postgres import PostgresServer, postgres_server


@pytest.fixture(scope="session")
def running_server() -> Iterator[PostgresServer]:
    with postgres_server() as server:
        yield server


@pytest.fixture
def server(running_server: PostgresServer) -> PostgresServer:
    """The server, with an empty database."""
    # What a failed test left open must not be the next one's trouble.
    running_server.sql(
        "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE application_name = 'macroslow';"
        "DROP SCHEMA IF EXISTS macroslow, macroslow_subjects CASCADE"
    )
    return running_server


@pytest.fixture
def url(server: PostgresServer) -> str:
    return server.url
