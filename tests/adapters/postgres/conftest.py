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
    running_server.sql("DROP SCHEMA IF EXISTS macroslow, macroslow_subjects CASCADE")
    return running_server


@pytest.fixture
def url(server: PostgresServer) -> str:
    return server.url
