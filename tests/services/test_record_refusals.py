"""Refusals in the log: known callers' as entries up to a rate, everything else as counts."""

import json

import pytest
from tests.web.fakes import FakeBooks, FakeClock

from macroslow.errors import LogUnavailableError
from macroslow.services.record_refusals import MAX_COUNTERS, NOBODY, OTHER, PER_PRINCIPAL, RecordRefusals
from macroslow.tlog.event import Event, EventType

LEAF_BYTES = 78 + 32 * 2 + 200  # a leaf, its share of the tree, and what a store keeps beside it


def size_bytes(event: Event) -> int:
    return LEAF_BYTES + len(json.dumps(dict(event.fields)).encode()) + len(event.subject)


@pytest.fixture
def books() -> FakeBooks:
    return FakeBooks()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def refusals(books: FakeBooks, clock: FakeClock) -> RecordRefusals:
    return RecordRefusals(books, clock)  # type: ignore[arg-type]


async def test_ten_minutes_of_refused_strangers_grow_the_log_by_less_than_a_megabyte(
    refusals: RecordRefusals, books: FakeBooks, clock: FakeClock
) -> None:
    sent = 0
    for _ in range(600):
        for number in range(500):
            refusals.of_nobody(f"credential-{number % 9}")
            sent += 1
        clock.pass_s(1)
        await refusals.flush()
    await refusals.flush(closing=True)
    assert sum(size_bytes(event) for event in books.events) < 1_000_000
    assert {event.type for event in books.events} == {EventType.REFUSALS_SUMMARY}
    assert len(books.events) <= 11 * 9
    assert sum(event.fields["count"] for event in books.events) == sent  # type: ignore[misc]


async def test_ten_minutes_of_one_refused_caller_grow_the_log_by_less_than_a_megabyte(
    refusals: RecordRefusals, books: FakeBooks, clock: FakeClock
) -> None:
    sent = 0
    for _ in range(600):
        for _ in range(200):
            refusals.of_principal(
                "mallory", "budget-exhausted", {"route": "/v1/chat/completions", "status": 402}
            )
            sent += 1
        clock.pass_s(1)
        await refusals.flush()
    await refusals.flush(closing=True)
    assert sum(size_bytes(event) for event in books.events) < 1_000_000
    single = [event for event in books.events if event.type is EventType.REFUSED]
    counted = [event for event in books.events if event.type is EventType.REFUSALS_SUMMARY]
    assert PER_PRINCIPAL.burst <= len(single) <= 11 * PER_PRINCIPAL.count
    assert len(single) + sum(event.fields["count"] for event in counted) == sent  # type: ignore[misc]
    assert {event.subject for event in books.events} == {"mallory"}


async def test_a_known_callers_refusal_is_an_entry_of_its_own(
    refusals: RecordRefusals, books: FakeBooks, clock: FakeClock
) -> None:
    refusals.of_principal("alice", "missing-scope", {"route": "/metrics", "status": 403})
    assert not books.events
    await refusals.flush()
    (event,) = books.events
    assert event.type is EventType.REFUSED
    assert event.subject == "alice"
    assert event.fields == {
        "route": "/metrics",
        "status": 403,
        "principal": "alice",
        "reason": "missing-scope",
    }
    await refusals.flush()
    assert len(books.events) == 1


async def test_many_reasons_and_names_share_fixed_memory(
    refusals: RecordRefusals, books: FakeBooks, clock: FakeClock
) -> None:
    for number in range(10_000):
        refusals.of_nobody(f"reason-{number}")
    await refusals.flush(closing=True)
    assert len(books.events) == MAX_COUNTERS + 1
    (other,) = [event for event in books.events if event.fields["reason"] == OTHER]
    assert (other.subject, other.fields["count"]) == (NOBODY, 10_000 - MAX_COUNTERS)


async def test_nothing_is_lost_while_the_log_cannot_be_written(
    refusals: RecordRefusals, books: FakeBooks, clock: FakeClock
) -> None:
    refusals.of_principal("alice", "missing-scope", {})
    refusals.of_nobody("credential-missing")
    clock.pass_s(61)
    books.down = True
    with pytest.raises(LogUnavailableError):
        await refusals.flush()
    refusals.of_nobody("credential-missing")
    books.down = False
    clock.pass_s(61)
    await refusals.flush()
    assert [(event.type, event.fields.get("count")) for event in books.events] == [
        (EventType.REFUSED, None),
        (EventType.REFUSALS_SUMMARY, 2),
    ]


async def test_a_summary_waits_for_its_minute_unless_the_gateway_ends(
    refusals: RecordRefusals, books: FakeBooks, clock: FakeClock
) -> None:
    refusals.of_nobody("credential-missing")
    clock.pass_s(59)
    await refusals.flush()
    assert not books.events
    await refusals.flush(closing=True)
    assert books.events[0].fields["until_s"] - books.events[0].fields["from_s"] == 59  # type: ignore[operator]
