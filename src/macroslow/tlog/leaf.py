"""Leaves: what the log commits to about an event, without a word of it.

A leaf has 78 bytes: magic (4), time in ns (u64), event type (u16), HMAC-SHA256(salt, canonical
event), SHA-256(payload); integers are big-endian. The payload beside it is a nonce and
AES-256-GCM(subject key, salt + canonical event) with the HMAC as associated data.

A shared event (magic MSL2) says something of further persons too. Its canonical form names the
HMAC-SHA256(salt, canonical part) of each part and not the person; the parts are sealed like events,
each under its person's key, and stored apart. The payload then begins with their number (u8) and the
SHA-256 of each sealed part. So a part that is destroyed leaves the rest as provable as it was.

Both commitments are needed. The payload's hash lets a mirror without keys see that the stored
bytes are whole; the HMAC keeps the operator from opening one ciphertext two ways. The salt stands
inside the ciphertext alone: once the subject's key is destroyed, nobody can confirm a guess of
the event against its leaf. The leaf's hash in the tree follows RFC 6962, section 2.1.

In the place of what was erased stand 8 bytes: the index (u64) of the entry that says so.
"""

import hashlib
import hmac
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from macroslow.crypto import rows, strict_json
from macroslow.errors import VerificationError
from macroslow.tlog.event import Event, EventType, PersonFields
from macroslow.tlog.ports import OpenedPart
from macroslow.values import value

LEAF_BYTES: Final = 78
SALT_BYTES: Final = 32
MAX_EVENT_BYTES: Final = 64 * 1024
MAX_FIELDS_DEPTH: Final = 8
MAX_PARTS: Final = 255
MAGIC: Final = b"MSL1"
SHARED_MAGIC: Final = b"MSL2"
ERASED_BYTES: Final = 8  # of a payload or part that was erased; a sealed one has 60 or more
_SHA256_BYTES: Final = 32
_LEAF: Final = struct.Struct(">4sQH32s32s")
_ERASED: Final = struct.Struct(">Q")
_EVENT_MEMBERS: Final = frozenset({"type", "time_ns", "subject", "fields"})


@dataclass(frozen=True, slots=True)
class LeafFacts:
    """What a leaf shows in clear, and its two commitments. `shared`: its event has parts."""

    time_ns: int
    type: int
    event_hmac: bytes
    payload_sha256: bytes
    shared: bool = False


@value
class SealedPart:
    """What a shared event says about `subject`, sealed; `opened` opens it."""

    subject: str
    hmac: bytes
    sealed: bytes
    opened: OpenedPart


@value
class SealedEvent:
    """An event ready for the log: `leaf` is public, `payload` is stored, `salt` and `canonical` open it."""

    leaf: bytes
    salt: bytes
    canonical: bytes
    payload: bytes


def canonical(fields: Mapping[str, object]) -> bytes:
    """Return the one encoding of `fields` (RFC 8785 within the profile of `event`).

    ValueError for floats, keys that are not ASCII, integers of 2**53 and beyond, depth over 8 or
    more than 64 KiB.
    """
    return strict_json.canonical(dict(fields), limit_bytes=MAX_EVENT_BYTES, max_depth=MAX_FIELDS_DEPTH)


def canonical_event(event: Event, part_hmacs: Sequence[bytes] = ()) -> bytes:
    """Return the one encoding of an event. Its time is a string of digits: ns pass 2**53.

    `part_hmacs` are those of its parts, in the order of their subjects' names.
    """
    whole: dict[str, object] = {
        "fields": dict(event.fields),
        "subject": event.subject,
        "time_ns": str(event.time_ns),
        "type": int(event.type),
    }
    if part_hmacs:
        whole["others"] = [{"hmac": each.hex()} for each in part_hmacs]
    return strict_json.canonical(whole, limit_bytes=MAX_EVENT_BYTES, max_depth=MAX_FIELDS_DEPTH + 1)


def canonical_part(part: PersonFields) -> bytes:
    """Return the one encoding of what an event says about one more person."""
    whole = {"fields": dict(part.fields), "subject": part.subject}
    return strict_json.canonical(whole, limit_bytes=MAX_EVENT_BYTES, max_depth=MAX_FIELDS_DEPTH + 1)


def parse_event(encoded: bytes) -> Event:
    """Return the event of its canonical bytes, without its parts; VerificationError if they are none."""
    return _parse(encoded)[0]


def part_hmacs(encoded: bytes) -> tuple[bytes, ...]:
    """Return what a canonical event commits its parts to; empty if it has none. Else VerificationError."""
    return _parse(encoded)[1]


def parse_part(encoded: bytes) -> PersonFields:
    """Return what a part says, from its canonical bytes; VerificationError if they are anything else."""
    try:
        read = strict_json.parse(encoded, limit_bytes=MAX_EVENT_BYTES, max_depth=MAX_FIELDS_DEPTH + 1)
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


def seal_part(part: PersonFields, subject_key: bytes, *, salt: bytes, nonce: bytes) -> SealedPart:
    """Return what `seal_event` takes; `salt` and `nonce` are fresh and random. ValueError as there."""
    if len(salt) != SALT_BYTES:
        raise ValueError("a salt has 32 bytes")
    encoded = canonical_part(part)
    part_hmac = hmac.digest(salt, encoded, "sha256")
    sealed = rows.seal(subject_key, nonce, salt + encoded, part_hmac)
    return SealedPart(part.subject, part_hmac, sealed, OpenedPart(encoded, salt))


def seal_event(
    event: Event, subject_key: bytes, *, salt: bytes, nonce: bytes, parts: Sequence[SealedPart] = ()
) -> SealedEvent:
    """Return leaf and payload; `salt` (32 bytes) and `nonce` (12 bytes) are fresh and random.

    `parts` are its `others`, sealed, in the order of their subjects' names. ValueError if they are
    not, or if the event is outside the canonical profile.
    """
    if len(salt) != SALT_BYTES:
        raise ValueError("a salt has 32 bytes")
    encoded = canonical_event(event, _hmacs_of(event, parts) if event.others or parts else ())
    event_hmac = hmac.digest(salt, encoded, "sha256")
    payload = rows.seal(subject_key, nonce, salt + encoded, event_hmac)
    magic = MAGIC
    if parts:
        hashes = [hashlib.sha256(part.sealed).digest() for part in parts]
        magic, payload = SHARED_MAGIC, b"".join([bytes([len(parts)]), *hashes, payload])
    leaf = _LEAF.pack(magic, event.time_ns, event.type, event_hmac, hashlib.sha256(payload).digest())
    return SealedEvent(leaf, salt, encoded, payload)


def open_payload(leaf: bytes, payload: bytes, subject_key: bytes) -> tuple[bytes, bytes]:
    """Return canonical event and salt, both commitments checked.

    VerificationError if the stored bytes are not those of the leaf; DecryptionFailedError if the
    key does not open them.
    """
    facts = parse_leaf(leaf)
    if not hmac.compare_digest(hashlib.sha256(payload).digest(), facts.payload_sha256):
        raise VerificationError("the stored payload is not the one that the log entry commits to")
    header_bytes = 1 + len(part_hashes(payload)) * _SHA256_BYTES if facts.shared else 0
    opened = rows.open_sealed(subject_key, payload[header_bytes:], facts.event_hmac)
    salt, encoded = opened[:SALT_BYTES], opened[SALT_BYTES:]
    check_opening(leaf, encoded, salt)
    return encoded, salt


def open_part(encoded: bytes, payload: bytes, position: int, sealed: bytes, subject_key: bytes) -> OpenedPart:
    """Return part `position` of the opened event `encoded`, whose payload is whole.

    VerificationError if it is not the part that the event commits to; DecryptionFailedError if the
    key does not open it.
    """
    hashes, hmacs = part_hashes(payload), part_hmacs(encoded)
    if not 0 <= position < len(hashes) or len(hashes) != len(hmacs):
        raise VerificationError("the event has another number of parts than its log entry")
    if not hmac.compare_digest(hashlib.sha256(sealed).digest(), hashes[position]):
        raise VerificationError("the stored part is not the one that the log entry commits to")
    opened = rows.open_sealed(subject_key, sealed, hmacs[position])
    part = OpenedPart(opened[SALT_BYTES:], opened[:SALT_BYTES])
    _check_part(part, hmacs[position])
    return part


def part_hashes(payload: bytes) -> tuple[bytes, ...]:
    """Return the SHA-256 of each sealed part of a shared event; VerificationError if it names none."""
    count = payload[0] if payload else 0
    starts = range(1, 1 + count * _SHA256_BYTES, _SHA256_BYTES)
    hashes = tuple(payload[at : at + _SHA256_BYTES] for at in starts)
    if not hashes or len(hashes[-1]) != _SHA256_BYTES:
        raise VerificationError("the payload of a shared event does not begin with its parts")
    return hashes


def check_opening(leaf: bytes, encoded: bytes, salt: bytes) -> Event:
    """Return the event, without its parts, if `encoded` and `salt` open `leaf`; else VerificationError."""
    facts = parse_leaf(leaf)
    if len(salt) != SALT_BYTES or not hmac.compare_digest(
        hmac.digest(salt, encoded, "sha256"), facts.event_hmac
    ):
        raise VerificationError("the event is not the one that the log entry commits to")
    event, hmacs = _parse(encoded)
    if (event.time_ns, event.type) != (facts.time_ns, facts.type):
        raise VerificationError("the event's time or type is not that of its log entry")
    if bool(hmacs) != facts.shared:
        raise VerificationError("the event has parts and its log entry none, or the other way round")
    return event


def check_parts(encoded: bytes, others: Sequence[OpenedPart | None]) -> tuple[PersonFields | None, ...]:
    """Return what the parts of a canonical event say, None where one is withheld or was erased.

    `others` has one for each part, in order. VerificationError if it is not the event's.
    """
    hmacs = part_hmacs(encoded)
    if len(others) != len(hmacs):
        raise VerificationError(f"the event has {len(hmacs)} parts about further persons, not {len(others)}")
    return tuple(
        None if part is None else _check_part(part, expected)
        for part, expected in zip(others, hmacs, strict=True)
    )


def leaf_hash(leaf: bytes) -> bytes:
    """Return the leaf's hash in the tree: SHA-256(0x00, leaf)."""
    return hashlib.sha256(b"\0" + leaf).digest()


def parse_leaf(leaf: bytes) -> LeafFacts:
    """Return what the leaf shows; VerificationError if it is not a leaf of this log format."""
    if len(leaf) != LEAF_BYTES or not leaf.startswith((MAGIC, SHARED_MAGIC)):
        raise VerificationError("this is not a log entry: it has another length or begins differently")
    magic, time_ns, event_type, event_hmac, payload_sha256 = _LEAF.unpack(leaf)
    return LeafFacts(time_ns, event_type, event_hmac, payload_sha256, magic == SHARED_MAGIC)


def erased_bytes(index: int) -> bytes:
    """Return what is stored in the place of something erased: entry `index` says so."""
    return _ERASED.pack(index)


def erased_by(stored: bytes) -> int | None:
    """Return the index of the entry that tells of the erasure; None if `stored` was not erased."""
    return int.from_bytes(stored, "big") if len(stored) == ERASED_BYTES else None


def _hmacs_of(event: Event, parts: Sequence[SealedPart]) -> list[bytes]:
    names = [part.subject for part in parts]
    if names != sorted(other.subject for other in event.others) or len(names) > MAX_PARTS:
        raise ValueError("the sealed parts are not those of the event, in the order of their names")
    return [part.hmac for part in parts]


def _check_part(part: OpenedPart, expected: bytes) -> PersonFields:
    if len(part.salt) != SALT_BYTES or not hmac.compare_digest(
        hmac.digest(part.salt, part.part, "sha256"), expected
    ):
        raise VerificationError("the part is not the one that the event commits to")
    return parse_part(part.part)


def _parse(encoded: bytes) -> tuple[Event, tuple[bytes, ...]]:
    """The event and the HMACs of its parts."""
    try:
        read = strict_json.parse(encoded, limit_bytes=MAX_EVENT_BYTES, max_depth=MAX_FIELDS_DEPTH + 1)
        members = read if isinstance(read, dict) else {}
        hmacs = _hmacs_from(members.pop("others")) if "others" in members else ()
        event = _event_from(members)
        if canonical_event(event, hmacs) != encoded:
            raise ValueError("it is not in canonical form")
    except ValueError as error:
        raise VerificationError(f"this is not an event of the log: {error}") from None
    return event, hmacs


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
        case {"hmac": str() as digits} if len(members) == 1 and len(digits) == 2 * _SHA256_BYTES:
            return bytes.fromhex(digits)
        case _:
            raise ValueError("one of its others is not an HMAC")
