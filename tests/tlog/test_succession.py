"""Whoever pinned a key follows the hand-overs from it, and nobody else's."""

import json
from collections.abc import Callable

import pytest
from tests.tlog.logs import NOW_NS, ORIGIN, small_log

from macroslow.errors import VerificationError
from macroslow.tlog import receipt
from macroslow.tlog.checkpoint import LogPrivateKey, LogPublicKey
from macroslow.tlog.event import Event, EventType
from macroslow.tlog.succession import (
    MAX_SUCCESSION,
    LogKeys,
    Retired,
    follow_succession,
    handed_over,
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


def hand_over(at: int) -> bytes:
    return receipt_of(KEYS[at], fields(PUBLIC[at], PUBLIC[at + 1]))


HAND_OVERS = [hand_over(at) for at in range(3)]


@pytest.mark.parametrize("at", range(4))
def test_every_key_of_the_log_leads_to_the_newest(at: int) -> None:
    assert follow_succession(PUBLIC[at], HAND_OVERS) == PUBLIC[3]
    assert succession(PUBLIC[at], HAND_OVERS) == PUBLIC[at:]


def test_without_hand_overs_the_pinned_key_is_the_newest() -> None:
    assert follow_succession(PUBLIC[0], []) == PUBLIC[0]


def test_a_foreign_succession_leads_nowhere() -> None:
    stranger = LogPrivateKey(ORIGIN, b"s" * 32, b"t" * 32)
    assert succession(stranger.public, HAND_OVERS) == [stranger.public]


def test_a_gap_and_a_forged_link_are_refused() -> None:
    forged = receipt_of(KEYS[3], fields(PUBLIC[1], PUBLIC[3]))
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
        handed_over(receipt_of(KEYS[0], said), PUBLIC[0])


def test_only_an_entry_of_that_type_hands_over() -> None:
    said = fields(PUBLIC[0], PUBLIC[1])
    with pytest.raises(VerificationError, match="another entry"):
        handed_over(receipt_of(KEYS[0], said, EventType.KEY_ROTATED), PUBLIC[0])


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
    assert keys.receipts == [HAND_OVERS[1]]
    assert keys.since(PUBLIC[1]) == PUBLIC[1:3]
