"""The signer never signs two trees that do not extend each other, whoever asks and in whatever order."""

import asyncio

import pytest
from tests.adapters.signer.trees import (
    ANSWER_KEY,
    HASHES,
    HISTORY_KEY,
    LOG_KEY,
    NOW_NS,
    RIVALS,
    engine_of,
    head,
    note_of,
    proof,
)

from macroslow.adapters.signer import LocalSigner
from macroslow.crypto import statements
from macroslow.crypto.hybrid import HybridPrivateKey, KeyUse
from macroslow.errors import VerificationError
from macroslow.ports import Signer, Statement
from macroslow.tlog import tree
from macroslow.tlog.checkpoint import verify_checkpoint
from macroslow.tlog.ports import TreeHead


def signer(last: TreeHead | None = None) -> Signer:
    engine = engine_of()
    if last is not None:
        engine.adopt(note_of(last.size), [])
    return LocalSigner(engine)


async def test_a_growing_log_gets_checkpoints_that_verify() -> None:
    subject, last = signer(), 0
    for size in (1, 2, 7, 7, 40):
        note = await subject.checkpoint(size, head(size).root, proof(last, size))
        checkpoint = verify_checkpoint(note, LOG_KEY.public)
        assert (checkpoint.size, checkpoint.root) == (size, head(size).root)
        assert checkpoint.time_s == NOW_NS // 10**9
        last = size


async def test_a_smaller_tree_is_refused() -> None:
    subject = signer(head(7))
    with pytest.raises(VerificationError, match="signed already"):
        await subject.checkpoint(6, head(6).root, [])
    with pytest.raises(VerificationError, match="signed already"):
        await subject.checkpoint(0, tree.EMPTY_ROOT, [])


async def test_another_tree_of_the_same_size_is_refused() -> None:
    subject = signer(head(7))
    with pytest.raises(VerificationError, match="different trees"):
        await subject.checkpoint(7, tree.root_of(HASHES[1:8]), [])


async def test_a_larger_tree_with_another_past_is_refused() -> None:
    forged = [HASHES[9], *HASHES[1:]]
    subject = signer(head(7))
    for claimed in (proof(7, 20, forged), proof(7, 20), []):
        with pytest.raises(VerificationError, match="does not extend"):
            await subject.checkpoint(20, head(20, forged).root, claimed)
    await subject.checkpoint(20, head(20).root, proof(7, 20))  # refusals changed nothing


async def test_a_first_checkpoint_with_a_false_proof_is_refused() -> None:
    with pytest.raises(VerificationError, match="does not extend"):
        await signer().checkpoint(5, head(5).root, [HASHES[0]])


async def test_of_two_rival_trees_asked_for_at_once_one_is_signed() -> None:
    subject = signer(head(7))
    outcomes = await asyncio.gather(
        subject.checkpoint(10, head(10).root, proof(7, 10)),
        subject.checkpoint(10, head(10, RIVALS).root, proof(7, 10, RIVALS)),
        return_exceptions=True,
    )
    assert isinstance(outcomes[0], bytes)
    assert isinstance(outcomes[1], VerificationError)


async def test_a_caller_that_hung_up_still_counts_as_signed_for() -> None:
    subject = signer(head(7))
    task = asyncio.create_task(subject.checkpoint(10, head(10).root, proof(7, 10)))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    with pytest.raises(VerificationError):
        await subject.checkpoint(11, head(11, RIVALS).root, proof(7, 11, RIVALS))
    await subject.checkpoint(12, head(12).root, proof(10, 12))


async def test_answers_and_histories_are_statements_of_their_own_keys() -> None:
    subject, statement = signer(), Statement({"run_id": "r1"})
    find = {key.key_id: key.public for key in (ANSWER_KEY, HISTORY_KEY)}.get
    for text, use, key in (
        (await subject.answer(statement), "answer", ANSWER_KEY),
        (await subject.history(statement), "history", HISTORY_KEY),
    ):
        found, facts = statements.verify(text, find, use=use)
        assert found == statement
        assert (facts.key_id, facts.issued_ns) == (key.key_id, NOW_NS // 10**9 * 10**9)


def test_keys_of_another_use_are_refused() -> None:
    document_key = HybridPrivateKey(KeyUse.DOCUMENT, bytes(32), bytes(32))
    for answer, history in (
        (HISTORY_KEY, ANSWER_KEY),
        (document_key, HISTORY_KEY),
        (ANSWER_KEY, document_key),
    ):
        with pytest.raises(ValueError, match="one key for answers"):
            engine_of(answer, history)
