"""Whoever pinned a key follows the hand-overs from it, and nobody else's."""

import json
from collections.abc import Callable

import pytest
from tests.tlog.logs import NOW_NS, ORIGIN, small_log

from macroslow.errors import VerificationError
from macroslow.tlog import hand_over as hand_overs
from macroslow.tlog import note, receipt
from macroslow.tlog.checkpoint import LogPrivateKey, LogPublicKey
from macroslow.tlog.event import Event, EventType
from macroslow.tlog.hand_over import handed_over
from macroslow.tlog.succession import (
    MAX_SUCCESSION,
    LogKeys,
    Retired,
    succession,
    verify_under,
)

KEYS = [LogPrivateKey(ORIGIN, bytes([10 + n]) * 32, bytes([20 + n]) * 32) for n in range(4)]
PUBLIC = [key.public for key in KEYS]
FORKED = LogPrivateKey("gateway.example/log.2", b"f" * 32, b"g" * 32)


def fields(old: LogPublicKey, new: LogPublicKey) -> dict[str, object]:
    return {
        "old_fingerprint": old.fingerprint,
        "new_fingerprint": new.fingerprint,
        "new_ed25519": new.ed25519.vkey,
        "new_ml_dsa_44": new.ml_dsa_44.vkey,
        "reason": "a test",
    }


def receipt_of(
    signer: LogPrivateKey, said: dict[str, object], kind: EventType = EventType.LOG_KEY_ROTATED
) -> bytes:
    log = small_log(signer, [Event(kind, NOW_NS, "macroslow", said)])
    return json.dumps(receipt.build(log.entries[0], log.proof(0), log.checkpoint())).encode()


def made(receipt: bytes, new: LogPrivateKey, size: int = 1, old: LogPrivateKey = KEYS[0]) -> bytes:
    """What a signer that holds `old` and `new` makes of any receipt, without looking at it."""
    said = hand_overs._said(old.public, new.public, size, receipt)
    signed = {"old": old.sign_hand_over(said), "new": new.sign_hand_over(said)}
    members = {name: hand_overs._encoded(signatures) for name, signatures in signed.items()}
    told = {"format": hand_overs.FORMAT, "receipt": receipt.decode(), "size": size, **members}
    return json.dumps(told).encode()


def hand_over(at: int, size: int = 1) -> bytes:
    said = receipt_of(KEYS[at], fields(PUBLIC[at], PUBLIC[at + 1]))
    return hand_overs.make(KEYS[at], KEYS[at + 1], said, size)


HAND_OVERS = [hand_over(at) for at in range(3)]


@pytest.mark.parametrize("at", range(4))
def test_every_key_of_the_log_leads_to_the_newest(at: int) -> None:
    assert succession(PUBLIC[at], HAND_OVERS)[-1].key == PUBLIC[3]
    found = succession(PUBLIC[at], HAND_OVERS)
    assert [one.key for one in found] == PUBLIC[at:]
    assert [one.steps for one in found] == list(range(4 - at))
    assert [one.last_size for one in found] == [1] * (3 - at) + [None]


def test_without_hand_overs_the_pinned_key_is_the_newest() -> None:
    assert succession(PUBLIC[0], [])[-1].key == PUBLIC[0]


def test_a_foreign_succession_leads_nowhere() -> None:
    stranger = LogPrivateKey(ORIGIN, b"s" * 32, b"t" * 32)
    assert [one.key for one in succession(stranger.public, HAND_OVERS)] == [stranger.public]


def test_a_gap_and_a_forged_link_are_refused() -> None:
    forged = made(receipt_of(KEYS[3], fields(PUBLIC[1], PUBLIC[3])), KEYS[3], old=KEYS[1])
    for links in ([HAND_OVERS[0], HAND_OVERS[2]], [HAND_OVERS[0], forged], [HAND_OVERS[0], b"{}"]):
        with pytest.raises(VerificationError, match="hand-over 2 does not hold"):
            succession(PUBLIC[0], links)


def test_a_succession_of_any_length_is_not_read() -> None:
    with pytest.raises(VerificationError, match="more than"):
        succession(PUBLIC[0], [b""] * (MAX_SUCCESSION + 1))


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("old", lambda said: said.update(old_fingerprint=PUBLIC[2].fingerprint)),
        ("new", lambda said: said.update(new_fingerprint=PUBLIC[2].fingerprint)),
        ("unicode", lambda said: said.update(new_fingerprint="\u00e9")),
        ("vkey", lambda said: said.update(new_ed25519="none")),
        ("swapped", lambda said: said.update(new_ed25519=said["new_ml_dsa_44"])),
        ("missing", lambda said: said.pop("new_ml_dsa_44")),
        ("origin", lambda said: said.update(fields(PUBLIC[0], FORKED.public))),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_entry_that_names_no_next_key_of_this_log_is_refused(
    name: str, change: Callable[[dict[str, object]], object]
) -> None:
    said = fields(PUBLIC[0], PUBLIC[1])
    change(said)
    with pytest.raises(VerificationError, match=r"hands over|names no key|another entry"):
        handed_over(made(receipt_of(KEYS[0], said), KEYS[1]), PUBLIC[0])


def test_only_an_entry_of_that_type_hands_over() -> None:
    said = fields(PUBLIC[0], PUBLIC[1])
    with pytest.raises(VerificationError, match="another entry"):
        handed_over(made(receipt_of(KEYS[0], said, EventType.KEY_ROTATED), KEYS[1]), PUBLIC[0])


def test_a_checkpoint_over_a_tree_of_somebody_elses_hands_nothing_over() -> None:
    """All that can be had signed is a checkpoint: over a leaf that names a key of the asker's own."""
    stolen = receipt_of(KEYS[0], fields(PUBLIC[0], PUBLIC[1]))
    assert receipt.verify(stolen, PUBLIC[0]).size == 1
    whole = json.loads(made(stolen, KEYS[1]))
    mine = json.loads(made(stolen, KEYS[1], old=KEYS[1]))
    for members in ({}, {"old": mine["old"]}, {"old": whole["new"]}):
        with pytest.raises(VerificationError):
            handed_over(json.dumps({**whole, **members}).encode() if members else stolen, PUBLIC[0])
    handed_over(json.dumps(whole).encode(), PUBLIC[0])  # what the old key signs is what was missing


@pytest.mark.parametrize("whose", ["old", "new"])
@pytest.mark.parametrize("algorithm", ["ed25519", "ml_dsa_44"])
def test_each_of_the_four_signatures_is_needed(whose: str, algorithm: str) -> None:
    for wrong in ("", "AAAA", "?", None, json.loads(HAND_OVERS[1])[whose][algorithm]):
        members = json.loads(HAND_OVERS[0])
        members[whose][algorithm] = wrong
        with pytest.raises(VerificationError):
            handed_over(json.dumps(members).encode(), PUBLIC[0])
    members = json.loads(HAND_OVERS[0])
    del members[whose][algorithm]
    with pytest.raises(VerificationError):
        handed_over(json.dumps(members).encode(), PUBLIC[0])


@pytest.mark.parametrize("size", [0, 2, -1, 2**63, True, "1", None], ids=str)
def test_another_last_size_than_the_signed_one_is_refused(size: object) -> None:
    members = {**json.loads(HAND_OVERS[0]), "size": size}
    with pytest.raises(VerificationError):
        handed_over(json.dumps(members).encode(), PUBLIC[0])


def test_what_is_signed_for_a_hand_over_is_signed_for_nothing_else() -> None:
    """No text of a note, and no message of a cosignature, is one of a hand-over; the two share their keys."""
    text = f"{hand_overs.FORMAT}\n{hand_overs._said(PUBLIC[0], PUBLIC[1], 1, b'')}"
    with pytest.raises(VerificationError):
        note.parse_body(text)
    with pytest.raises(ValueError, match="name"):
        LogPrivateKey(hand_overs.FORMAT, b"a" * 32, b"b" * 32)  # nor can a log be named so
    checkpoint = note.format_body(note.Body(ORIGIN, 1, b"r" * 32))
    for key in (PUBLIC[0].ed25519, PUBLIC[0].ml_dsa_44):
        signed = note.signed_message(key, checkpoint, 1)
        assert not signed.startswith(b"macroslow-hand-over")
        assert not text.encode().startswith(signed[:11])


def test_a_hand_over_is_made_for_the_key_that_the_entry_names_alone() -> None:
    said = receipt_of(KEYS[0], fields(PUBLIC[0], PUBLIC[1]))
    for new, size in ((KEYS[2], 1), (KEYS[1], 0)):
        with pytest.raises(VerificationError):
            hand_overs.make(KEYS[0], new, said, size)
    with pytest.raises(VerificationError, match="too large"):
        hand_overs.make(KEYS[0], KEYS[1], said + b" " * 100_000, 1)


def test_a_key_is_not_believed_beyond_the_last_tree_before_its_hand_over() -> None:
    old, new = succession(PUBLIC[0], [hand_over(0, size=5)])
    old.check_size(5)
    new.check_size(2**62)
    with pytest.raises(VerificationError, match="was retired at 5 entries"):
        old.check_size(6)
    keys = LogKeys(PUBLIC[1], (Retired(PUBLIC[0], hand_over(0, size=5)),))
    assert keys.verify(KEYS[0].sign_checkpoint(5, b"r" * 32, time_s=1)).size == 5
    with pytest.raises(VerificationError, match="was retired at 5 entries"):
        keys.verify(KEYS[0].sign_checkpoint(6, b"r" * 32, time_s=1))


def test_a_checkpoint_is_verified_under_the_key_that_it_names() -> None:
    keys = LogKeys(PUBLIC[1], (Retired(FORKED.public, None), Retired(PUBLIC[0], HAND_OVERS[0])))
    for signer in (KEYS[0], KEYS[1], FORKED):
        note = signer.sign_checkpoint(0, b"\0" * 32, time_s=1)
        assert keys.verify(note).origin == signer.public.origin
    with pytest.raises(VerificationError, match="no Ed25519 signature of the pinned log key"):
        keys.verify(KEYS[2].sign_checkpoint(0, b"\0" * 32, time_s=1))


def test_one_line_alone_of_an_old_key_is_refused() -> None:
    note = KEYS[0].sign_checkpoint(0, b"\0" * 32, time_s=1)
    stripped = b"\n".join(note.split(b"\n")[:5]) + b"\n"
    with pytest.raises(VerificationError, match="ML-DSA-44"):
        verify_under(stripped, PUBLIC)


def test_hand_overs_of_another_log_before_a_fork_are_not_told() -> None:
    keys = LogKeys(
        PUBLIC[2],
        (Retired(FORKED.public, b"before"), Retired(FORKED.public, None), Retired(PUBLIC[1], HAND_OVERS[1])),
    )
    assert keys.hand_overs == [HAND_OVERS[1]]
    assert keys.since(PUBLIC[1]) == PUBLIC[1:3]
