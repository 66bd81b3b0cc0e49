"""The life of a server is two entries about the gateway itself."""

import json

from tests.contract.fake_books import FakeBooks
from tests.services.key_house import START_NS, SetClock

from macroslow.authn.principal import THE_GATEWAY
from macroslow.services.audit.record_server import RecordServer
from macroslow.tlog.event import EventType


async def test_a_start_and_an_end_are_entries_with_their_version_and_time() -> None:
    books, clock = FakeBooks(), SetClock()
    record = RecordServer(books, clock, "1.2.3")
    await record.started("native")
    clock.time_ns += 5
    await record.stopped()
    begun, ended = await books.entries(0, 10)
    assert (begun.type, begun.subject, begun.time_ns) == (EventType.SERVER_STARTED, THE_GATEWAY, START_NS)
    assert json.loads(begun.event or b"")["fields"] == {"version": "1.2.3", "sandbox": "native"}
    assert (ended.type, ended.time_ns) == (EventType.SERVER_STOPPED, START_NS + 5)
    assert json.loads(ended.event or b"")["fields"] == {"version": "1.2.3"}
