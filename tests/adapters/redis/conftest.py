"""One server for a process's tests; each test finds it empty."""

from collections.abc import Iterator

import pytest
from tests.redis import RedisServer, redis_server


@pytest.fixture(scope="session")
def running_server() -> Iterator[RedisServer]:
    with redis_server() as server:
        yield server


@pytest.fixture
def server(running_server: RedisServer) -> RedisServer:
    """The server, empty."""
    assert running_server.ask("flushall") == "OK"
    return running_server
