"""Security events in the log: known callers' as entries up to a rate, everything else as counts."""

import json
import logging
from typing import Any

import pytest
from tests.web.fakes import FakeBooks, FakeClock

from macroslow.authn.refusal import STEP as AUTHENTICATION
from macroslow.authz.security import SecurityEvent, Verdict
from macroslow.errors import LogUnavailableError
from macroslow.services.identity.record_security import (
    MAX_COUNTERS,
    NOBODY,
    OF_ALL,
    OTHER,
    PER_KEY,
    PER_PRINCIPAL,
    UNPROVED,
    RecordSecurity,
)
from macroslow.tlog.event import Event, EventType

LEAF_BYTES = 78 + 32 * 2 + 200  # a leaf, its share of the tree, and what a store keeps beside it


def size_bytes(event: Event) -> int:
    return LEAF_BYTES + len(json.dumps(dict(event.fields)).encode()) + len(event.subject)


def refused(reason: str, **known: Any) -> SecurityEvent:
    return SecurityEvent(1, Verdict.REFUSED, reason, **known)


@pytest.fixture
def books() -> FakeBooks:
    return FakeBooks()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def security(books: FakeBooks, clock: FakeClock) -> RecordSecurity:
    return RecordSecurity(books, clock)  # type: ignore[arg-type]


async def test_ten_minutes_of_refused_strangers_grow_the_log_by_less_than_a_megabyte(
    security: RecordSecurity, books: FakeBooks, clock: FakeClock
) -> None:
    sent = 0
    for _ in range(600):
        for number in range(500):
            security.note(refused(f"credential-{number % 9}"))
            sent += 1
        clock.pass_s(1)
        await security.flush()
    await security.flush(closing=True)
    assert sum(size_bytes(event) for event in books.events) < 1_000_000
    assert {event.type for event in books.events} == {EventType.REFUSALS_SUMMARY}
    assert len(books.events) <= 11 * 9
    assert sum(event.fields["count"] for event in books.events) == sent  # type: ignore[misc]


async def test_ten_minutes_of_one_refused_caller_grow_the_log_by_less_than_a_megabyte(
    security: RecordSecurity, books: FakeBooks, clock: FakeClock
) -> None:
    sent = 0
    for _ in range(600):
        for _ in range(200):
            security.note(
                refused("budget-exhausted", principal="mallory", route="/v1/chat/completions", status=402)
            )
            sent += 1
        clock.pass_s(1)
        await security.flush()
    await security.flush(closing=True)
    assert sum(size_bytes(event) for event in books.events) < 1_000_000
    single = [event for event in books.events if event.type is EventType.REFUSED]
    counted = [event for event in books.events if event.type is EventType.REFUSALS_SUMMARY]
    assert PER_PRINCIPAL.burst <= len(single) <= 11 * PER_PRINCIPAL.count
    assert len(single) + sum(event.fields["count"] for event in counted) == sent  # type: ignore[misc]
    assert {event.subject for event in books.events} == {"mallory"}


async def test_a_known_callers_refusal_is_an_entry_of_its_own(
    security: RecordSecurity, books: FakeBooks, clock: FakeClock
) -> None:
    security.note(refused("missing-scope", principal="alice", route="/metrics", status=403))
    assert not books.events
    await security.flush()
    (event,) = books.events
    assert event.type is EventType.REFUSED
    assert event.subject == "alice"
    assert event.fields == {
        "route": "/metrics",
        "status": 403,
        "principal": "alice",
        "reason": "missing-scope",
        "verdict": "refused",
    }
    await security.flush()
    assert len(books.events) == 1


async def test_the_first_refusals_of_a_known_key_name_their_requests_and_the_rest_are_counted(
    security: RecordSecurity, books: FakeBooks, clock: FakeClock
) -> None:
    for minute in range(3):
        for number in range(100):
            for reason in ("credential-expired", "credential-address"):
                security.note(
                    refused(
                        reason,
                        principal="alice",
                        key_id="k1",
                        request_id=f"{minute}-{number}",
                        step=AUTHENTICATION,
                    )
                )
        clock.pass_s(61)
        await security.flush()
    single = [event for event in books.events if event.type is EventType.REFUSED]
    counted = [event for event in books.events if event.type is EventType.REFUSALS_SUMMARY]
    for reason in ("credential-expired", "credential-address"):
        told = [event.fields["request_id"] for event in single if event.fields["reason"] == reason]
        assert told == [f"{minute}-{number}" for minute in range(3) for number in range(PER_KEY.burst)]
    assert {event.fields["key_id"] for event in single} == {"k1"}
    assert len(single) + sum(event.fields["count"] for event in counted) == 600  # type: ignore[misc]
    assert {event.subject for event in books.events} == {"alice"}


async def test_whoever_names_the_ids_of_keys_takes_no_room_from_those_who_have_them(
    security: RecordSecurity, books: FakeBooks, clock: FakeClock
) -> None:
    for number in range(1000):
        security.note(refused("credential-wrong-secret", key_id=f"k{number}", step=AUTHENTICATION))
    for number in range(OF_ALL.burst):
        security.note(refused("missing-scope", principal=f"p{number}"))
    await security.flush(closing=True)
    single = [event.subject for event in books.events if event.type is EventType.REFUSED]
    assert single.count(NOBODY) == UNPROVED.burst
    assert len(set(single) - {NOBODY}) == OF_ALL.burst


async def test_many_reasons_and_names_share_fixed_memory(
    security: RecordSecurity, books: FakeBooks, clock: FakeClock
) -> None:
    for number in range(10_000):
        security.note(refused(f"reason-{number}"))
    await security.flush(closing=True)
    assert len(books.events) == MAX_COUNTERS + 1
    (other,) = [event for event in books.events if event.fields["reason"] == OTHER]
    assert (other.subject, other.fields["count"]) == (NOBODY, 10_000 - MAX_COUNTERS)


async def test_nothing_is_remembered_of_those_who_were_refused_long_ago(
    security: RecordSecurity, books: FakeBooks, clock: FakeClock
) -> None:
    sizes = []
    for minute in range(20):
        for number in range(OF_ALL.count):
            security.note(refused("missing-scope", principal=f"p{minute}-{number}"))
        clock.pass_s(61)
        await security.flush()
        sizes.append(len(vars(security)["_tats_ns"]))
    assert max(sizes) <= 1


async def test_nothing_is_lost_while_the_log_cannot_be_written(
    security: RecordSecurity, books: FakeBooks, clock: FakeClock
) -> None:
    security.note(refused("missing-scope", principal="alice"))
    security.note(refused("credential-missing"))
    clock.pass_s(61)
    books.down = True
    with pytest.raises(LogUnavailableError):
        await security.flush()
    security.note(refused("credential-missing"))
    books.down = False
    clock.pass_s(61)
    await security.flush()
    assert [(event.type, event.fields.get("count")) for event in books.events] == [
        (EventType.REFUSED, None),
        (EventType.REFUSALS_SUMMARY, 2),
    ]


async def test_a_summary_waits_for_its_minute_unless_the_gateway_ends(
    security: RecordSecurity, books: FakeBooks, clock: FakeClock
) -> None:
    security.note(refused("credential-missing"))
    clock.pass_s(59)
    await security.flush()
    assert not books.events
    await security.flush(closing=True)
    assert books.events[0].fields["until_s"] - books.events[0].fields["from_s"] == 59  # type: ignore[operator]


async def test_each_entry_and_each_summary_is_one_line_of_the_servers_own_log(
    security: RecordSecurity, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "macroslow.security")
    for _ in range(PER_PRINCIPAL.count * 2):
        security.note(refused("missing-scope", principal="alice", address="192.0.2.7", request_id="r1"))
    for _ in range(1000):
        security.note(refused("credential-missing", address="192.0.2.8"))
    await security.flush(closing=True)
    single, counted = [], []
    for record in caplog.records:
        (counted if "count" in record.security else single).append(record.security)
    assert 0 < len(single) < PER_PRINCIPAL.count * 2
    assert single[0] == {
        "verdict": "refused",
        "reason": "missing-scope",
        "principal": "alice",
        "address": "192.0.2.7",
        "request_id": "r1",
    }
    assert len(counted) == 2
    assert sum(told["count"] for told in counted) + len(single) == PER_PRINCIPAL.count * 2 + 1000


async def test_what_the_operator_does_is_told_and_makes_no_entry_here(
    security: RecordSecurity, books: FakeBooks, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "macroslow.security")
    security.note(SecurityEvent(1, Verdict.ALLOWED, "operator", route="keys.create", principal="operator"))
    await security.flush(closing=True)
    assert not books.events
    assert [record.security["route"] for record in caplog.records] == ["keys.create"]
