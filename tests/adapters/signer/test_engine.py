"""The log's key is changed only to the one that the log itself names, and a fork is another log's."""

import json

import pytest
from tests.adapters.signer.trees import (
    LOG_KEY,
    ORIGIN,
    MemoryFiles,
    engine_of,
    head,
    note_of,
    proof,
)
from tests.machine import SetClock
from tests.tlog.logs import NOW_NS, small_log

from macroslow.adapters.signer import HighWaterMarks
from macroslow.adapters.signer.engine import CHANGE_EVERY_S, MAX_KEPT_BYTES
from macroslow.errors import VerificationError
from macroslow.tlog import leaf, receipt, tree
from macroslow.tlog.checkpoint import LogPrivateKey, LogPublicKey, verify_checkpoint
from macroslow.tlog.event import Event, EventType
from macroslow.tlog.succession import MAX_SUCCESSION, Retired, succession


def said_of(new: LogPublicKey, old: LogPublicKey = LOG_KEY.public) -> dict[str, object]:
    return {
        "old_fingerprint": old.fingerprint,
        "new_fingerprint": new.fingerprint,
        "new_ed25519": new.ed25519.vkey,
        "new_ml_dsa_44": new.ml_dsa_44.vkey,
        "reason": "a test",
    }


def hand_over(new: LogPublicKey, signer: LogPrivateKey = LOG_KEY) -> bytes:
    """The receipt, under `signer`, of an entry that hands its log over to `new`."""
    said = said_of(new, signer.public)
    log = small_log(signer, [Event(EventType.LOG_KEY_ROTATED, NOW_NS, "macroslow", said)])
    return json.dumps(receipt.build(log.entries[0], log.proof(0), log.checkpoint())).encode()


def test_after_a_hand_over_the_staged_key_signs_the_same_growing_tree() -> None:
    files = MemoryFiles()
    engine = engine_of(files=files)
    engine.checkpoint(7, head(7).root, [])
    new = engine.stage()
    assert engine.stage() == new == engine.staged  # asked again: the same
    engine.hand_over(hand_over(new))
    assert (engine.keys.current, engine.staged) == (new, None)
    (retired,) = files.retired
    assert retired.key == LOG_KEY.public
    assert engine.keys.hand_overs == [retired.hand_over]
    old, reached = succession(LOG_KEY.public, engine.keys.hand_overs)
    assert (old.last_size, reached.key) == (7, new)
    with pytest.raises(VerificationError):
        engine.checkpoint(6, head(6).root, [])
    note = engine.checkpoint(10, head(10).root, proof(7, 10))
    assert verify_checkpoint(note, new).size == 10
    with pytest.raises(VerificationError):
        verify_checkpoint(note, LOG_KEY.public)


def test_only_the_staged_key_is_handed_over_to_and_only_by_the_log() -> None:
    stranger = LogPrivateKey(ORIGIN, b"s" * 32, b"t" * 32)
    engine = engine_of()
    engine.checkpoint(7, head(7).root, [])
    with pytest.raises(VerificationError, match="another key"):
        engine.hand_over(hand_over(stranger.public))  # none is staged
    staged = engine.stage()
    for link in (hand_over(stranger.public), hand_over(staged, stranger), b"{}", b""):
        with pytest.raises(VerificationError):
            engine.hand_over(link)
    assert engine.keys.current == LOG_KEY.public


def test_a_key_that_the_log_was_made_to_name_is_never_handed_over_to() -> None:
    """A gateway that was taken over has its own tree signed, with its own key for a successor in it."""
    mine = LogPrivateKey(ORIGIN, b"s" * 32, b"t" * 32)
    engine = engine_of()
    engine.stage()
    log = small_log(LOG_KEY, [Event(EventType.LOG_KEY_ROTATED, NOW_NS, "macroslow", said_of(mine.public))])
    note = engine.checkpoint(1, tree.root_of([leaf.leaf_hash(log.entries[0].leaf)]), [])
    receipt_of_it = json.dumps(receipt.build(log.entries[0], log.proof(0), note)).encode()
    assert receipt.verify(receipt_of_it, LOG_KEY.public).size == 1
    with pytest.raises(VerificationError, match="another key"):
        engine.hand_over(receipt_of_it)
    assert [one.key for one in succession(LOG_KEY.public, [receipt_of_it])] == [LOG_KEY.public]
    assert engine.keys.hand_overs == []


def test_changes_of_keys_have_their_time_between_them() -> None:
    clock = SetClock()
    engine, link = engine_of(clock=clock), LOG_KEY
    engine.checkpoint(7, head(7).root, [])
    engine.hand_over(hand_over(engine.stage(), link))
    clock.ran_ns = CHANGE_EVERY_S * 10**9 - 1
    with pytest.raises(VerificationError, match="within the last 60 seconds"):
        engine.stage()
    assert engine.staged is None
    clock.ran_ns += 1
    engine.stage()


@pytest.mark.parametrize("few", [True, False], ids=["large", "many"])
def test_a_log_has_no_more_keys_than_are_followed_and_kept(few: bool) -> None:
    kept = [bytes(MAX_KEPT_BYTES + 1)] if few else [b"{}"] * MAX_SUCCESSION
    engine = engine_of(retired=tuple(Retired(LOG_KEY.public, one) for one in kept))
    with pytest.raises(VerificationError, match="too often"):
        engine.stage()
    engine.stage("gateway.example/log.2")  # which begins anew


def test_a_fork_needs_another_name_and_is_bound_by_nothing_before_it() -> None:
    engine = engine_of()
    engine.checkpoint(10, head(10).root, [])
    with pytest.raises(VerificationError, match="another name"):
        engine.fork()
    engine.stage()
    with pytest.raises(VerificationError, match="another name"):
        engine.fork()
    new = engine.stage("gateway.example/log.2")
    assert new.origin == "gateway.example/log.2"
    engine.fork()
    assert verify_checkpoint(engine.checkpoint(8, head(8).root, []), new).size == 8
    assert engine.keys.hand_overs == []


def test_what_was_signed_before_a_fork_is_not_taken_up() -> None:
    engine = engine_of(retired=(Retired(LogPrivateKey("old", b"o" * 32, b"p" * 32).public, None),))
    old = LogPrivateKey("old", b"o" * 32, b"p" * 32)
    engine.adopt(note_of(30, key=old), [])
    assert engine.last == head(0)


def test_a_checkpoint_that_none_of_our_keys_signed_is_not_taken_up() -> None:
    engine = engine_of()
    with pytest.raises(VerificationError, match="pinned log key"):
        engine.adopt(note_of(7, key=LogPrivateKey(ORIGIN, b"s" * 32, b"t" * 32)), [])


def test_the_next_keys_mark_is_there_before_the_old_key_is_gone(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("marks")
    marks = HighWaterMarks(folder)

    class Looking(MemoryFiles):
        def switch(self, retired: Retired) -> None:
            assert marks.read(self.staged[-1].public) == head(7)

    engine = engine_of(marks=marks, files=Looking())
    engine.checkpoint(7, head(7).root, [])
    engine.hand_over(hand_over(engine.stage()))
    assert marks.read(LOG_KEY.public) == head(7)
