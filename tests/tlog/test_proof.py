"""The text of a proof: exact shape, and no proof of anything else."""

from collections.abc import Callable
from typing import Any

import pytest

from macroslow.errors import VerificationError
from macroslow.tlog import leaf, proof


@pytest.fixture(scope="module")
def text(log: Any) -> str:
    return proof.format_proof(41, log.proof(41), log.checkpoint())


def test_a_proof_survives_its_text_and_verifies(text: str, log: Any) -> None:
    parsed = proof.parse(text)
    assert parsed == proof.Proof(41, tuple(log.proof(41)), log_checkpoint(text))
    checkpoint = proof.verify(parsed, leaf.leaf_hash(log.entries[41].leaf), log.key.public)
    assert (checkpoint.size, checkpoint.root) == (300, log.edge.head().root)


def log_checkpoint(text: str) -> bytes:
    return text.split("\n\n", 1)[1].encode()


def test_a_tree_of_one_needs_no_hashes(log_key: Any) -> None:
    leaf_hash = leaf.leaf_hash(bytes(78))
    text = proof.format_proof(0, [], log_key.sign_checkpoint(1, leaf_hash, time_s=1))
    assert text.startswith("c2sp.org/tlog-proof@v1\nindex 0\n\n")
    proof.verify(proof.parse(text), leaf_hash, log_key.public)


def test_a_proof_of_one_entry_proves_no_other(text: str, log: Any) -> None:
    for other in (40, 42, 0, 299):
        with pytest.raises(VerificationError):
            proof.verify(proof.parse(text), leaf.leaf_hash(log.entries[other].leaf), log.key.public)


def test_another_key_is_refused(text: str, log: Any, other_log_key: Any) -> None:
    with pytest.raises(VerificationError, match="another key"):
        proof.verify(proof.parse(text), leaf.leaf_hash(log.entries[41].leaf), other_log_key.public)


@pytest.mark.parametrize(
    "change",
    [
        lambda t: t.replace("index 41", "index 42"),
        lambda t: t.replace("index 41", "index 041"),
        lambda t: t.replace("index 41", "index -1"),
        lambda t: t.replace("index 41", "index \u0664"),
        lambda t: t.replace("index 41", "index " + "9" * 5000),
        lambda t: t.replace("index 41", "extra AAAA\nindex 41"),
        lambda t: t.replace("index 41\n", ""),
        lambda t: t.replace("@v1", "@v2"),
        lambda t: t.replace("index 41\n", "index 41\nAAAA\n"),
        lambda t: t.replace("index 41\n", "index 41\n" + ("A" * 43 + "=\n")),
        lambda t: t.replace("index 41\n", "index 41\n" + ("A" * 43 + "=\n") * 64),
        lambda t: t.replace("\n\n", "\n", 1),
        lambda t: t.replace("\n", "\r\n"),
        lambda t: t.replace("\n300\n", "\n301\n"),
        lambda t: "\n".join(t.split("\n")[:2] + t.split("\n")[3:]),
        lambda t: "",
        lambda t: "\n\n",
        lambda t: t + "\ud800",
        lambda t: "x" * 10**6,
    ],
)
def test_an_altered_proof_is_refused(change: Callable[[str], str], text: str, log: Any) -> None:
    assert change(text) != text
    with pytest.raises(VerificationError):
        proof.verify(proof.parse(change(text)), leaf.leaf_hash(log.entries[41].leaf), log.key.public)
