"""Keys and one log for the tests of the log."""

import pytest
from tests.tlog.logs import NOW_NS, ORIGIN, SmallLog, octets, small_log

from macroslow.tlog.checkpoint import LogPrivateKey
from macroslow.tlog.event import Event, EventType


@pytest.fixture(scope="session")
def log_key() -> LogPrivateKey:
    return LogPrivateKey(ORIGIN, octets("ed25519", 32), octets("ml-dsa-44", 32))


@pytest.fixture(scope="session")
def other_log_key() -> LogPrivateKey:
    return LogPrivateKey(ORIGIN, octets("other ed25519", 32), octets("other ml-dsa-44", 32))


@pytest.fixture(scope="session")
def log(log_key: LogPrivateKey) -> SmallLog:
    return small_log(
        log_key,
        [
            Event(EventType.CHAT_COMPLETED, NOW_NS + number, f"user{number}", {"n": number})
            for number in range(300)
        ],
    )
