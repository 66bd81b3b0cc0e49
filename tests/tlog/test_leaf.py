"""Leaves: both commitments hold, nothing personal shows, and there is one encoding."""

import hashlib
import hmac
import json
import struct

import pytest
import rfc8785
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from macroslow.errors import DecryptionFailedError, VerificationError
from macroslow.tlog import leaf
from macroslow.tlog.canonical import canonical_event, canonical_part, parse_event
from macroslow.tlog.event import Event, EventType, PersonFields
from macroslow.tlog.ports import OpenedPart

KEY, SALT, NONCE = bytes(range(32)), bytes(range(32, 64)), bytes(range(12))
TIME_NS = 1_800_000_000_123_456_789
EVENT = Event(
    EventType.RUN_FINISHED, TIME_NS, "alice", {"answer_sha256": "00", "usage": {"tokens": 3}, "x": "ü"}
)
SEALED = leaf.seal_event(EVENT, KEY, salt=SALT, nonce=NONCE)
OTHER_KEYS = {"bob": b"b" * 32, "carol": b"c" * 32}
OTHERS = (PersonFields("carol", {"role": "seen"}), PersonFields("bob", {"by": "bob"}))
SHARED_EVENT = Event(EventType.KEY_CHANGED, TIME_NS, "alice", {"key_id": "k1"}, OTHERS)
PARTS = [
    leaf.seal_part(part, OTHER_KEYS[part.subject], salt=part.subject.encode().ljust(32), nonce=NONCE)
    for part in sorted(OTHERS, key=lambda part: part.subject)
]
SHARED = leaf.seal_event(SHARED_EVENT, KEY, salt=SALT, nonce=NONCE, parts=PARTS)

ascii_keys = st.text(st.characters(max_codepoint=127), max_size=6)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ascii_keys, inner, max_size=3),
    max_leaves=10,
)
events = st.builds(
    Event,
    type=st.sampled_from(EventType),
    time_ns=st.integers(0, 2**64 - 1),
    subject=st.text(max_size=10),
    fields=st.dictionaries(ascii_keys, values, max_size=4),
)


def test_the_leaf_is_the_one_of_the_format() -> None:
    """Recomputed from the description with the standard library alone."""
    canonical = json.dumps(
        {"type": 11, "time_ns": str(TIME_NS), "subject": "alice", "fields": EVENT.fields},
        sort_keys=True,
        separators=(",", ":"),
        ensure_ascii=False,
    ).encode()
    event_hmac = hmac.new(SALT, canonical, hashlib.sha256).digest()
    payload = NONCE + AESGCM(KEY).encrypt(NONCE, SALT + canonical, event_hmac)
    assert SEALED.canonical == canonical
    assert SEALED.payload == payload
    assert (
        SEALED.leaf
        == b"MSL1" + struct.pack(">QH", TIME_NS, 11) + event_hmac + hashlib.sha256(payload).digest()
    )
    assert len(SEALED.leaf) == leaf.LEAF_BYTES
    assert leaf.leaf_hash(SEALED.leaf) == hashlib.sha256(b"\0" + SEALED.leaf).digest()


@given(events)
def test_any_event_opens_with_its_key_and_is_rfc_8785(event: Event) -> None:
    sealed = leaf.seal_event(event, KEY, salt=SALT, nonce=NONCE)
    canonical, salt = leaf.open_payload(sealed.leaf, sealed.payload, KEY)
    assert (canonical, salt) == (sealed.canonical, SALT)
    assert canonical == rfc8785.dumps(json.loads(canonical))
    assert parse_event(canonical) == event
    assert leaf.check_opening(sealed.leaf, canonical, salt) == event
    facts = leaf.parse_leaf(sealed.leaf)
    assert (facts.time_ns, facts.type) == (event.time_ns, event.type)


def test_a_leaf_shows_nothing_of_the_event() -> None:
    other = leaf.seal_event(EVENT, KEY, salt=bytes(32), nonce=NONCE)
    assert other.leaf[14:46] != SEALED.leaf[14:46]  # the same event, and no one can tell
    assert b"alice" not in SEALED.leaf + SEALED.payload
    assert hashlib.sha256(SEALED.canonical).digest() not in SEALED.leaf


def test_without_its_key_an_event_stays_closed() -> None:
    with pytest.raises(DecryptionFailedError):
        leaf.open_payload(SEALED.leaf, SEALED.payload, bytes(32))


def test_any_altered_stored_byte_is_found() -> None:
    for position in range(len(SEALED.payload)):
        altered = bytearray(SEALED.payload)
        altered[position] ^= 1
        with pytest.raises(VerificationError):
            leaf.open_payload(SEALED.leaf, bytes(altered), KEY)


def test_any_altered_byte_of_the_leaf_is_found() -> None:
    for one in (SEALED, SHARED):
        for position in range(leaf.LEAF_BYTES):
            altered = bytearray(one.leaf)
            altered[position] ^= 1
            with pytest.raises((VerificationError, DecryptionFailedError)):
                leaf.open_payload(bytes(altered), one.payload, KEY)


def test_one_ciphertext_does_not_open_two_ways() -> None:
    """The operator stores a payload that decrypts well and holds another event than the leaf's HMAC."""
    forged = canonical_event(Event(EVENT.type, EVENT.time_ns, "alice", {"answer_sha256": "ff"}))
    event_hmac = SEALED.leaf[14:46]
    payload = NONCE + AESGCM(KEY).encrypt(NONCE, SALT + forged, event_hmac)
    forged_leaf = SEALED.leaf[:46] + hashlib.sha256(payload).digest()
    with pytest.raises(VerificationError, match="commits to"):
        leaf.open_payload(forged_leaf, payload, KEY)


@pytest.mark.parametrize("payload", [b"", b"x" * 11, b"x" * 12, b"x" * 27, b"x" * 59])
def test_a_short_payload_with_a_fitting_hash_is_refused(payload: bytes) -> None:
    forged = SEALED.leaf[:46] + hashlib.sha256(payload).digest()
    with pytest.raises((VerificationError, DecryptionFailedError)):
        leaf.open_payload(forged, payload, KEY)


@pytest.mark.parametrize(
    ("canonical", "salt"),
    [
        (SEALED.canonical, bytes(32)),
        (SEALED.canonical, SALT[:31]),
        (SEALED.canonical, SALT + b"\0"),
        (SEALED.canonical, b""),
        (SEALED.canonical + b" ", SALT),
        (SEALED.canonical.replace(b"alice", b"alicf"), SALT),
        (b"", SALT),
    ],
)
def test_another_event_or_salt_does_not_open_a_leaf(canonical: bytes, salt: bytes) -> None:
    with pytest.raises(VerificationError):
        leaf.check_opening(SEALED.leaf, canonical, salt)


def leaf_for(encoded: bytes, time_ns: int = TIME_NS, number: int = 11) -> bytes:
    """A leaf whose HMAC fits whatever bytes."""
    return b"MSL1" + struct.pack(">QH", time_ns, number) + hmac.digest(SALT, encoded, "sha256") + bytes(32)


def test_a_leaf_cannot_show_another_time_or_type_than_its_event() -> None:
    leaf.check_opening(leaf_for(SEALED.canonical), SEALED.canonical, SALT)
    with pytest.raises(VerificationError, match="time or type"):
        leaf.check_opening(leaf_for(SEALED.canonical, time_ns=TIME_NS + 1), SEALED.canonical, SALT)
    with pytest.raises(VerificationError, match="time or type"):
        leaf.check_opening(leaf_for(SEALED.canonical, number=12), SEALED.canonical, SALT)


@pytest.mark.parametrize(
    "encoded",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b'{"fields":{},"subject":"a","time_ns":"1"}',
        b'{"fields":{},"subject":"a","time_ns":1,"type":11}',
        b'{"fields":{},"subject":"a","time_ns":"01","type":11}',
        b'{"fields":{},"subject":"a","time_ns":"-1","type":11}',
        b'{"fields":{},"subject":"a","time_ns":"\xd9\xa1","type":11}',
        b'{"fields":{},"subject":"a","time_ns":"' + b"9" * 5000 + b'","type":11}',
        b'{"fields":{},"subject":"a","time_ns":"1","type":9999}',
        b'{"fields":{},"subject":"a","time_ns":"1","type":true}',
        b'{"fields":[],"subject":"a","time_ns":"1","type":11}',
        b'{"fields":{},"subject":1,"time_ns":"1","type":11}',
        b'{"extra":1,"fields":{},"subject":"a","time_ns":"1","type":11}',
        b'{"fields":{"a":1.5},"subject":"a","time_ns":"1","type":11}',
        b'{"fields":{"a":1,"a":1},"subject":"a","time_ns":"1","type":11}',
        b'{"fields":{"b":1,"a":1},"subject":"a","time_ns":"1","type":11}',
        b'{"fields": {},"subject":"a","time_ns":"1","type":11}',
        b'{"fields":{},"others":[],"subject":"a","time_ns":"1","type":11}',
        b'{"fields":{},"others":{},"subject":"a","time_ns":"1","type":11}',
        b'{"fields":{},"others":[{"hmac":"00"}],"subject":"a","time_ns":"1","type":11}',
        b'{"fields":{},"others":[{"hmac":"' + b"zz" * 32 + b'"}],"subject":"a","time_ns":"1","type":11}',
        b'{"fields":{},"others":[{"hmac":"' + b"AB" * 32 + b'"}],"subject":"a","time_ns":"1","type":11}',
        b'{"fields":{},"others":[{"hmac":"' + b" 0 " * 21 + b'0"}],"subject":"a","time_ns":"1","type":11}',
        b'{"fields":{},"others":[{"a":1,"hmac":"'
        + b"00" * 32
        + b'"}],"subject":"a","time_ns":"1","type":11}',
        b'{"fields":{},"others":[' + b"0," * 255 + b'0],"subject":"a","time_ns":"1","type":11}',
        b"[" * 60_000,
        b"\xff",
    ],
)
def test_bytes_that_are_no_canonical_event_are_refused_though_the_hmac_fits(encoded: bytes) -> None:
    with pytest.raises(VerificationError):
        leaf.check_opening(leaf_for(encoded, time_ns=1), encoded, SALT)


@pytest.mark.parametrize("raw", [b"", SEALED.leaf[:-1], SEALED.leaf + b"\0", b"MSL3" + SEALED.leaf[4:]])
def test_what_is_no_leaf_is_refused(raw: bytes) -> None:
    with pytest.raises(VerificationError):
        leaf.parse_leaf(raw)


def test_salt_nonce_and_key_have_their_one_size() -> None:
    for key, salt, nonce in ((KEY[:31], SALT, NONCE), (KEY, SALT[:31], NONCE), (KEY, SALT, NONCE[:11])):
        with pytest.raises(ValueError, match="bytes"):
            leaf.seal_event(EVENT, key, salt=salt, nonce=nonce)


def test_the_leaf_of_a_shared_event_is_the_one_of_the_format() -> None:
    """Recomputed from the description with the standard library alone."""

    def written(value: object) -> bytes:
        return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()

    hmacs, sealed = [], []
    for name, fields in (("bob", {"by": "bob"}), ("carol", {"role": "seen"})):
        salt, part = name.encode().ljust(32), written({"fields": fields, "subject": name})
        hmacs.append(hmac.new(salt, part, hashlib.sha256).digest())
        sealed.append(NONCE + AESGCM(OTHER_KEYS[name]).encrypt(NONCE, salt + part, hmacs[-1]))
    whole = {"type": 44, "time_ns": str(TIME_NS), "subject": "alice", "fields": {"key_id": "k1"}}
    canonical = written(whole | {"others": [{"hmac": each.hex()} for each in hmacs]})
    event_hmac = hmac.new(SALT, canonical, hashlib.sha256).digest()
    payload = b"\2" + b"".join(hashlib.sha256(part).digest() for part in sealed)
    payload += NONCE + AESGCM(KEY).encrypt(NONCE, SALT + canonical, event_hmac)
    shown = struct.pack(">QH", TIME_NS, 44) + event_hmac + hashlib.sha256(payload).digest()
    assert (SHARED.canonical, SHARED.payload, SHARED.leaf) == (canonical, payload, b"MSL2" + shown)
    assert [part.sealed for part in PARTS] == sealed


def open_shared(position: int, sealed: bytes, key: bytes, payload: bytes = SHARED.payload) -> OpenedPart:
    return leaf.open_part(SHARED.canonical, payload, position, sealed, key)


def test_a_shared_event_opens_with_its_key_and_each_part_with_its_own() -> None:
    assert leaf.open_payload(SHARED.leaf, SHARED.payload, KEY) == (SHARED.canonical, SALT)
    alone = leaf.check_opening(SHARED.leaf, SHARED.canonical, SALT)
    assert alone == Event(EventType.KEY_CHANGED, TIME_NS, "alice", {"key_id": "k1"})
    opened = [open_shared(at, part.sealed, OTHER_KEYS[part.subject]) for at, part in enumerate(PARTS)]
    assert opened == [part.opened for part in PARTS]
    assert leaf.check_parts(SHARED.canonical, opened) == tuple(reversed(OTHERS))
    assert leaf.check_parts(SHARED.canonical, [None, opened[1]]) == (None, OTHERS[0])
    assert leaf.check_parts(SEALED.canonical, []) == ()


def test_a_shared_event_names_nobody_but_its_subject() -> None:
    whole = SHARED.leaf + SHARED.canonical + SHARED.payload
    assert b"alice" in whole
    for name in (b"bob", b"carol"):
        assert name not in whole
        assert name not in b"".join(part.sealed for part in PARTS)


def test_a_part_opens_in_its_place_with_its_key_and_unaltered_alone() -> None:
    bob, carol = PARTS
    with pytest.raises(DecryptionFailedError):
        open_shared(0, bob.sealed, OTHER_KEYS["carol"])
    for position, sealed in (
        (1, bob.sealed),
        (0, carol.sealed),
        (2, bob.sealed),
        (-1, carol.sealed),
        (0, b""),
    ):
        with pytest.raises(VerificationError):
            open_shared(position, sealed, OTHER_KEYS["bob"])
    for position in range(len(bob.sealed)):
        altered = bytearray(bob.sealed)
        altered[position] ^= 1
        with pytest.raises(VerificationError):
            open_shared(0, bytes(altered), OTHER_KEYS["bob"])
    for payload in (
        b"",
        b"\1",
        b"\0" + SHARED.payload[1:],
        b"\1" + SHARED.payload[1:],
        b"\xff" + SHARED.payload,
    ):
        with pytest.raises(VerificationError):
            open_shared(0, bob.sealed, OTHER_KEYS["bob"], payload)


def test_one_sealed_part_does_not_open_two_ways() -> None:
    """It decrypts well and is the one of the payload, but not what the event commits to."""
    forged = canonical_part(PersonFields("bob", {"by": "mallory"}))
    sealed = NONCE + AESGCM(OTHER_KEYS["bob"]).encrypt(NONCE, SALT + forged, PARTS[0].hmac)
    payload = b"\2" + hashlib.sha256(sealed).digest() + SHARED.payload[33:]
    with pytest.raises(VerificationError, match="event commits to"):
        open_shared(0, sealed, OTHER_KEYS["bob"], payload)


def test_parts_that_are_not_the_events_are_refused() -> None:
    bob, carol = (part.opened for part in PARTS)
    resalted = [OpenedPart(carol.part, salt) for salt in (b"", bytes(32), bob.salt)]
    for others in ([], [bob], [carol, bob], [bob, carol, bob], *([bob, forged] for forged in resalted)):
        with pytest.raises(VerificationError):
            leaf.check_parts(SHARED.canonical, others)
    with pytest.raises(VerificationError):
        leaf.check_parts(SEALED.canonical, [bob])


@pytest.mark.parametrize(
    "part",
    [b"", b"[]", b"{}", b'{"fields":{}}', b'{"fields":{},"subject":1}', b'{"fields":[],"subject":"a"}',
     b'{"fields":{},"subject":"a","x":1}', b'{"subject":"a","fields":{}}', b'{"fields":{},"subject":"a"} '],
)  # fmt: skip
def test_bytes_that_are_no_canonical_part_are_refused_though_the_hmac_fits(part: bytes) -> None:
    event = Event(EventType.REFUSED, 1, "alice", {})
    encoded = canonical_event(event, [hmac.digest(SALT, part, "sha256")])
    with pytest.raises(VerificationError):
        leaf.check_parts(encoded, [OpenedPart(part, SALT)])


def test_a_leaf_says_whether_its_event_has_parts() -> None:
    assert leaf.parse_leaf(SHARED.leaf).shared
    assert not leaf.parse_leaf(SEALED.leaf).shared
    for one, magic in ((SEALED, b"MSL2"), (SHARED, b"MSL1")):
        with pytest.raises(VerificationError, match="other way round"):
            leaf.check_opening(magic + one.leaf[4:], one.canonical, SALT)


def test_parts_are_sealed_with_the_event_that_has_them_in_the_order_of_names() -> None:
    for event, parts in ((SHARED_EVENT, []), (SHARED_EVENT, PARTS[::-1]), (SHARED_EVENT, PARTS[:1]),
                         (EVENT, PARTS)):  # fmt: skip
        with pytest.raises(ValueError, match="parts"):
            leaf.seal_event(event, KEY, salt=SALT, nonce=NONCE, parts=parts)
    many = tuple(PersonFields("bob", {}) for _ in range(256))
    event = Event(EventType.REFUSED, 1, "alice", {}, many)
    with pytest.raises(ValueError, match="parts"):
        leaf.seal_event(event, KEY, salt=SALT, nonce=NONCE, parts=[PARTS[0]] * 256)


def test_what_was_erased_is_known_by_its_length_alone() -> None:
    for index in (0, 1, 2**64 - 1):
        assert leaf.erased_by(leaf.erased_bytes(index)) == index
    for stored in (SEALED.payload, SHARED.payload, PARTS[0].sealed, b"", bytes(7), bytes(9)):
        assert leaf.erased_by(stored) is None
