"""Canonical forms: what is outside the profile is not written, and what is not written so is not read."""

from typing import Any

import pytest

from macroslow.errors import VerificationError
from macroslow.tlog.canonical import (
    MAX_EVENT_BYTES,
    canonical_event,
    canonical_part,
    parse_event,
    parse_part,
    part_hmacs,
)
from macroslow.tlog.event import Event, EventType, PersonFields


def event_of(fields: dict[str, Any]) -> Event:
    return Event(EventType.REFUSED, 1, "a", fields)


def nested(depth: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(depth - 1):
        value = {"a": value}
    return value


def test_fields_are_at_most_eight_deep() -> None:
    for written in (canonical_event(event_of(nested(8))), canonical_part(PersonFields("a", nested(8)))):
        assert written.count(b"{") == 9
    with pytest.raises(ValueError, match="deep"):
        canonical_event(event_of(nested(9)))
    with pytest.raises(ValueError, match="deep"):
        canonical_part(PersonFields("a", nested(9)))


def test_an_event_has_at_most_64_kib() -> None:
    room = MAX_EVENT_BYTES - len(canonical_event(event_of({"a": ""})))
    full = event_of({"a": "x" * room})
    assert parse_event(canonical_event(full)) == full
    with pytest.raises(ValueError, match="more than 65536"):
        canonical_event(event_of({"a": "x" * (room + 1)}))
    with pytest.raises(VerificationError):
        parse_event(canonical_event(full).replace(b"xx", b"xxx", 1))


@pytest.mark.parametrize(
    "fields", [{"a": 0.5}, {"a": 2**53}, {"ä": 1}, {"a": b""}, {"a": {1: 1}}, {"a": "\ud800"}]
)
def test_fields_outside_the_profile_are_refused(fields: Any) -> None:
    with pytest.raises(ValueError):
        canonical_event(event_of(fields))
    with pytest.raises(ValueError):
        canonical_part(PersonFields("a", fields))


def test_an_event_names_its_parts_by_their_hmacs_in_their_order() -> None:
    event, hmacs = event_of({"a": 1}), (b"b" * 32, b"a" * 32)
    written = canonical_event(event, hmacs)
    assert (parse_event(written), part_hmacs(written)) == (event, hmacs)
    assert part_hmacs(canonical_event(event)) == ()


def test_a_part_is_read_as_it_was_written_and_is_no_event() -> None:
    part = PersonFields("bob", {"by": "carol"})
    assert parse_part(canonical_part(part)) == part
    with pytest.raises(VerificationError):
        parse_event(canonical_part(part))
    with pytest.raises(VerificationError):
        parse_part(canonical_event(event_of({})))
