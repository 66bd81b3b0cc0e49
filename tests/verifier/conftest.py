"""One running page for all tests of a file, and the log of tests/tlog."""

from collections.abc import Iterator

import pytest
from tests.tlog.logs import ORIGIN, octets
from tests.verifier.page import Page, running_page

from macroslow.tlog.checkpoint import LogPrivateKey


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    with running_page() as running:
        yield running


@pytest.fixture(scope="session")
def log_key() -> LogPrivateKey:
    return LogPrivateKey(ORIGIN, octets("ed25519", 32), octets("ml-dsa-44", 32))


@pytest.fixture(scope="session")
def other_log_key() -> LogPrivateKey:
    return LogPrivateKey(ORIGIN, octets("other ed25519", 32), octets("other ml-dsa-44", 32))
