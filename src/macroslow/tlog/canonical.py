"""The canonical forms of events and of their parts: one encoding each, to the byte.

JSON by RFC 8785 within a narrow profile: no floats, keys of ASCII, integers below 2**53, fields at most
MAX_FIELDS_DEPTH deep, at most MAX_EVENT_BYTES in all. What is parsed may come from anybody: whatever is not
written exactly so is refused.

An event has the members fields, subject, time_ns and type; that of several persons has `others` too, the
HMACs that commit to what it says of each further person. Such a part has fields and subject.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from macroslow.crypto import strict_json
from macroslow.errors import VerificationError
from macroslow.tlog.event import Event, EventType, PersonFields

MAX_EVENT_BYTES: Final = 64 * 1024
MAX_FIELDS_DEPTH: Final = 8
MAX_PARTS: Final = 255
_WHOLE_DEPTH: Final = MAX_FIELDS_DEPTH + 1
_HMAC_DIGITS: Final = 64
_EVENT_MEMBERS: Final = frozenset({"type", "time_ns", "subject", "fields"})


def canonical_event(event: Event, part_hmacs: Sequence[bytes] = ()) -> bytes:
    """Return the one encoding of an event. Its time is a string of digits: ns pass 2**53.

    `part_hmacs` are those of its parts, in the order of their subjects' names. ValueError for an
    event outside the profile.
    """
    whole: dict[str, object] = {
        "fields": dict(event.fields),
        "subject": event.subject,
        "time_ns": str(event.time_ns),
        "type": int(event.type),
    }
    if part_hmacs:
        whole["others"] = [{"hmac": each.hex()} for each in part_hmacs]
    return strict_json.canonical(whole, limit_bytes=MAX_EVENT_BYTES, max_depth=_WHOLE_DEPTH)


def canonical_part(part: PersonFields) -> bytes:
    """Return the one encoding of what an event says about one more person; ValueError as of events."""
    whole = {"fields": dict(part.fields), "subject": part.subject}
    return strict_json.canonical(whole, limit_bytes=MAX_EVENT_BYTES, max_depth=_WHOLE_DEPTH)


def parse_event(encoded: bytes) -> Event:
    """Return the event of its canonical bytes, without its parts; VerificationError if they are none."""
    return parse_whole(encoded)[0]


def part_hmacs(encoded: bytes) -> tuple[bytes, ...]:
    """Return what a canonical event commits its parts to; empty if it has none. Else VerificationError."""
    return parse_whole(encoded)[1]


def parse_whole(encoded: bytes) -> tuple[Event, tuple[bytes, ...]]:
    """Return an event without its parts, and the HMACs of those; VerificationError if it is none."""
    try:
        read = strict_json.candidate(encoded, limit_bytes=MAX_EVENT_BYTES)
        members = read if isinstance(read, dict) else {}
        hmacs = _hmacs_from(members.pop("others")) if "others" in members else ()
        event = _event_from(members)
        if canonical_event(event, hmacs) != encoded:
            raise ValueError("it is not in canonical form")
    except ValueError as error:
        raise VerificationError(f"this is not an event of the log: {error}") from None
    return event, hmacs


def parse_part(encoded: bytes) -> PersonFields:
    """Return what a part says, from its canonical bytes; VerificationError if they are anything else."""
    try:
        read = strict_json.candidate(encoded, limit_bytes=MAX_EVENT_BYTES)
        members = read if isinstance(read, dict) else {}
        match members:
            case {"subject": str() as subject, "fields": dict() as fields} if len(members) == 2:
                part = PersonFields(subject, fields)
            case _:
                raise ValueError("its members are not fields, subject")
        if canonical_part(part) != encoded:
            raise ValueError("it is not in canonical form")
    except ValueError as error:
        raise VerificationError(f"this is not a part of an event of the log: {error}") from None
    return part


def _event_from(members: Mapping[str, object]) -> Event:
    match members:
        case {
            "type": int() as number,
            "time_ns": str() as time_ns,
            "subject": str() as subject,
            "fields": dict() as fields,
        } if len(members) == len(_EVENT_MEMBERS) and time_ns.isascii() and time_ns.isdecimal():
            return Event(EventType(number), int(time_ns), subject, fields)
        case _:
            raise ValueError(f"its members are not {', '.join(sorted(_EVENT_MEMBERS))}")


def _hmacs_from(listed: object) -> tuple[bytes, ...]:
    if not isinstance(listed, list) or not 0 < len(listed) <= MAX_PARTS:
        raise ValueError("its others are no list of parts")
    return tuple(_hmac_from(each) for each in listed)


def _hmac_from(each: object) -> bytes:
    members = each if isinstance(each, dict) else {}
    match members:
        case {"hmac": str() as digits} if len(members) == 1 and len(digits) == _HMAC_DIGITS:
            return bytes.fromhex(digits)
        case _:
            raise ValueError("one of its others is not an HMAC")
