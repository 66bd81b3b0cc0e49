"""Leaves: what the log commits to about an event, without a word of it.

A leaf has 78 bytes: magic (4), time in ns (u64), event type (u16), HMAC-SHA256(salt, canonical
event), SHA-256(payload); integers are big-endian. The payload beside it is a nonce and
AES-256-GCM(subject key, salt + canonical event) with the HMAC as associated data.

Both commitments are needed. The payload's hash lets a mirror without keys see that the stored
bytes are whole; the HMAC keeps the operator from opening one ciphertext two ways. The salt stands
inside the ciphertext alone: once the subject's key is destroyed, nobody can confirm a guess of
the event against its leaf. The leaf's hash in the tree follows RFC 6962, section 2.1.
"""

import hashlib
import hmac
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from macroslow.crypto import rows, strict_json
from macroslow.errors import VerificationError
from macroslow.tlog.event import Event, EventType
from macroslow.values import value

LEAF_BYTES: Final = 78
SALT_BYTES: Final = 32
MAX_EVENT_BYTES: Final = 64 * 1024
MAX_FIELDS_DEPTH: Final = 8
MAGIC: Final = b"MSL1"
_LEAF: Final = struct.Struct(">4sQH32s32s")
_EVENT_MEMBERS: Final = frozenset({"type", "time_ns", "subject", "fields"})


@dataclass(frozen=True, slots=True)
class LeafFacts:
    """What a leaf shows in clear, and its two commitments."""

    time_ns: int
    type: int
    event_hmac: bytes
    payload_sha256: bytes


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


def canonical_event(event: Event) -> bytes:
    """Return the one encoding of an event. Its time is a string of digits: ns pass 2**53."""
    whole = {
        "fields": dict(event.fields),
        "subject": event.subject,
        "time_ns": str(event.time_ns),
        "type": int(event.type),
    }
    return strict_json.canonical(whole, limit_bytes=MAX_EVENT_BYTES, max_depth=MAX_FIELDS_DEPTH + 1)


def parse_event(encoded: bytes) -> Event:
    """Return the event of its canonical bytes; VerificationError if they are anything else."""
    try:
        value = strict_json.parse(encoded, limit_bytes=MAX_EVENT_BYTES, max_depth=MAX_FIELDS_DEPTH + 1)
        event = _event_from(value)
        if canonical_event(event) != encoded:
            raise ValueError("it is not in canonical form")
    except ValueError as error:
        raise VerificationError(f"this is not an event of the log: {error}") from None
    return event


def seal_event(event: Event, subject_key: bytes, *, salt: bytes, nonce: bytes) -> SealedEvent:
    """Return leaf and payload; `salt` (32 bytes) and `nonce` (12 bytes) are fresh and random.

    ValueError if the event is outside the canonical profile.
    """
    if len(salt) != SALT_BYTES:
        raise ValueError("a salt has 32 bytes")
    encoded = canonical_event(event)
    event_hmac = hmac.digest(salt, encoded, "sha256")
    payload = rows.seal(subject_key, nonce, salt + encoded, event_hmac)
    leaf = _LEAF.pack(MAGIC, event.time_ns, event.type, event_hmac, hashlib.sha256(payload).digest())
    return SealedEvent(leaf, salt, encoded, payload)


def open_payload(leaf: bytes, payload: bytes, subject_key: bytes) -> tuple[bytes, bytes]:
    """Return canonical event and salt, both commitments checked.

    VerificationError if the stored bytes are not those of the leaf; DecryptionFailedError if the
    key does not open them.
    """
    facts = parse_leaf(leaf)
    if not hmac.compare_digest(hashlib.sha256(payload).digest(), facts.payload_sha256):
        raise VerificationError("the stored payload is not the one that the log entry commits to")
    opened = rows.open_sealed(subject_key, payload, facts.event_hmac)
    salt, encoded = opened[:SALT_BYTES], opened[SALT_BYTES:]
    check_opening(leaf, encoded, salt)
    return encoded, salt


def check_opening(leaf: bytes, encoded: bytes, salt: bytes) -> Event:
    """Return the event if `encoded` and `salt` open `leaf`; else VerificationError."""
    facts = parse_leaf(leaf)
    if len(salt) != SALT_BYTES or not hmac.compare_digest(
        hmac.digest(salt, encoded, "sha256"), facts.event_hmac
    ):
        raise VerificationError("the event is not the one that the log entry commits to")
    event = parse_event(encoded)
    if (event.time_ns, event.type) != (facts.time_ns, facts.type):
        raise VerificationError("the event's time or type is not that of its log entry")
    return event


def leaf_hash(leaf: bytes) -> bytes:
    """Return the leaf's hash in the tree: SHA-256(0x00, leaf)."""
    return hashlib.sha256(b"\0" + leaf).digest()


def parse_leaf(leaf: bytes) -> LeafFacts:
    """Return what the leaf shows; VerificationError if it is not a leaf of this log format."""
    if len(leaf) != LEAF_BYTES or not leaf.startswith(MAGIC):
        raise VerificationError("this is not a log entry: it has another length or begins differently")
    _, time_ns, event_type, event_hmac, payload_sha256 = _LEAF.unpack(leaf)
    return LeafFacts(time_ns, event_type, event_hmac, payload_sha256)


def _event_from(value: object) -> Event:
    members = value if isinstance(value, dict) else {}
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
