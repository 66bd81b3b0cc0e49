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
the event against its leaf. The leaf's hash in the tree follows RFC 6962, section 2.1. The canonical
forms are those of `canonical`.

In the place of what was erased stand 8 bytes: the index (u64) of the entry that says so.
"""

import hashlib
import hmac
import struct
from collections.abc import Sequence
from typing import Final

from macroslow.crypto import rows
from macroslow.errors import VerificationError
from macroslow.tlog.canonical import (
    MAX_PARTS,
    canonical_event,
    canonical_part,
    parse_part,
    parse_whole,
    part_hmacs,
)
from macroslow.tlog.event import Event, PersonFields
from macroslow.tlog.ports import OpenedPart
from macroslow.values import value

LEAF_BYTES: Final = 78
SALT_BYTES: Final = 32
MAGIC: Final = b"MSL1"
SHARED_MAGIC: Final = b"MSL2"
ERASED_BYTES: Final = 8  # of a payload or part that was erased; a sealed one has 60 or more
_SHA256_BYTES: Final = 32
_LEAF: Final = struct.Struct(">4sQH32s32s")
_ERASED: Final = struct.Struct(">Q")


@value
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


def seal_part(part: PersonFields, subject_key: bytes, *, salt: bytes, nonce: bytes) -> SealedPart:
    """Return what `seal_event` takes; `salt` and `nonce` are fresh and random. ValueError as there."""
    if len(salt) != SALT_BYTES:
        raise ValueError("a salt has 32 bytes")
    encoded = canonical_part(part)
    part_hmac = _hmac(salt, encoded)
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
    event_hmac = _hmac(salt, encoded)
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
    _check_opening(facts, encoded, salt)
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
    return _check_opening(parse_leaf(leaf), encoded, salt)


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
    if len(leaf) == LEAF_BYTES:
        magic, time_ns, event_type, event_hmac, payload_sha256 = _LEAF.unpack(leaf)
        if magic in (MAGIC, SHARED_MAGIC):
            return LeafFacts(time_ns, event_type, event_hmac, payload_sha256, magic == SHARED_MAGIC)
    raise VerificationError("this is not a log entry: it has another length or begins differently")


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


def _hmac(salt: bytes, encoded: bytes) -> bytes:
    return hmac.HMAC(salt, encoded, "sha256").digest()  # `hmac.digest` would let the interpreter's lock go


def _check_opening(facts: LeafFacts, encoded: bytes, salt: bytes) -> Event:
    if len(salt) != SALT_BYTES or not hmac.compare_digest(_hmac(salt, encoded), facts.event_hmac):
        raise VerificationError("the event is not the one that the log entry commits to")
    event, hmacs = parse_whole(encoded)
    if (event.time_ns, event.type) != (facts.time_ns, facts.type):
        raise VerificationError("the event's time or type is not that of its log entry")
    if bool(hmacs) != facts.shared:
        raise VerificationError("the event has parts and its log entry none, or the other way round")
    return event


def _check_part(part: OpenedPart, expected: bytes) -> PersonFields:
    if len(part.salt) != SALT_BYTES or not hmac.compare_digest(_hmac(part.salt, part.part), expected):
        raise VerificationError("the part is not the one that the event commits to")
    return parse_part(part.part)
