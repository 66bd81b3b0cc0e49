"""The log's key is changed only to the one that the log itself names, and a fork is another log's."""

import json

import pytest
from tests.adapters.signer.trees import LOG_KEY, ORIGIN, MemoryFiles, engine_of, head, note_of, proof
from tests.tlog.logs import NOW_NS, small_log

from macroslow.adapters.signer import HighWaterMarks
from macroslow.errors import VerificationError
from macroslow.tlog import receipt
from macroslow.tlog.checkpoint import LogPrivateKey, LogPublicKey, verify_checkpoint
from macroslow.tlog.event import Event, EventType
from macroslow.tlog.succession import Retired, follow_succession


def hand_over(new: LogPublicKey, signer: LogPrivateKey = LOG_KEY) -> bytes:
    """The receipt, under `signer`, of an entry that hands its log over to `new`."""
    said = {
        "old_fingerprint": signer.public.fingerprint,
        "new_fingerprint": new.fingerprint,
        "new_ed25519": new.ed25519.vkey,
        "new_ml_dsa_44": new.ml_dsa_44.vkey,
        "reason": "a test",
    }
    log = small_log(signer, [Event(EventType.LOG_KEY_ROTATED, NOW_NS, "macroslow", said)])
    return json.dumps(receipt.build(log.entries[0], log.proof(0), log.checkpoint())).encode()


def test_after_a_hand_over_the_staged_key_signs_the_same_growing_tree() -> None:
    files = MemoryFiles()
    engine = engine_of(files=files)
    engine.checkpoint(7, head(7).root, [])
    new = engine.stage()
    assert engine.stage() == new == engine.staged  # asked again: the same
    link = hand_over(new)
    engine.hand_over(link)
    assert (engine.keys.current, engine.staged) == (new, None)
    assert files.retired == [Retired(LOG_KEY.public, link)]
    assert follow_succession(LOG_KEY.public, engine.keys.receipts) == new
    with pytest.raises(VerificationError):
        engine.checkpoint(6, head(6).root, [])
    note = engine.checkpoint(10, head(10).root, proof(7, 10))
    assert verify_checkpoint(note, new).size == 10
    with pytest.raises(VerificationError):
        verify_checkpoint(note, LOG_KEY.public)


def test_only_the_staged_key_is_handed_over_to_and_only_by_the_log() -> None:
    stranger = LogPrivateKey(ORIGIN, b"s" * 32, b"t" * 32)
    engine = engine_of()
    with pytest.raises(VerificationError, match="another key"):
        engine.hand_over(hand_over(stranger.public))  # none is staged
    staged = engine.stage()
    for link in (hand_over(stranger.public), hand_over(staged, stranger), b"{}", b""):
        with pytest.raises(VerificationError):
            engine.hand_over(link)
    assert engine.keys.current == LOG_KEY.public


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
    assert engine.keys.receipts == []


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
