"""Proofs that travel (C2SP tlog-proof): index, inclusion proof and checkpoint in one text.

    c2sp.org/tlog-proof@v1
    index 73894
    <one base64 hash a line>

    <the checkpoint, verbatim>

`extra` lines are refused: nothing would vouch for them.
"""

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from macroslow.errors import VerificationError
from macroslow.tlog import note, tree
from macroslow.tlog.checkpoint import Checkpoint, LogPublicKey, verify_checkpoint

HEADER: Final = "c2sp.org/tlog-proof@v1"
MAX_HASHES: Final = 63  # a tree of 2**63 entries needs no more
MAX_PROOF_BYTES: Final = note.MAX_NOTE_BYTES + 4 * 1024
_INDEX: Final = re.compile(r"index (0|[1-9][0-9]{0,18})")


@dataclass(frozen=True, slots=True)
class Proof:
    """A proof taken apart; nothing in it is believed yet."""

    index: int
    hashes: tuple[bytes, ...]
    checkpoint: bytes


def format_proof(index: int, hashes: Sequence[bytes], checkpoint: bytes) -> str:
    """Return the text."""
    lines = [HEADER, f"index {index}", *(base64.b64encode(value).decode("ascii") for value in hashes)]
    return "\n".join(lines) + "\n\n" + checkpoint.decode("utf-8")


def parse(text: str) -> Proof:
    """Take a proof apart; VerificationError if it is not one."""
    head, separator, checkpoint = text.partition("\n\n")
    if len(text) > MAX_PROOF_BYTES or not separator:
        raise VerificationError("the proof is not proof lines, an empty line and a checkpoint")
    lines = head.split("\n")
    index = _INDEX.fullmatch(lines[1]) if len(lines) > 1 else None
    if lines[0] != HEADER or index is None:
        raise VerificationError(f"the proof does not begin with {HEADER} and an index")
    if len(lines) - 2 > MAX_HASHES:
        raise VerificationError(f"the proof has more than {MAX_HASHES} hashes")
    hashes = tuple(note.decode_hash(line) for line in lines[2:])
    return Proof(int(index[1]), hashes, checkpoint.encode("utf-8", "surrogatepass"))


def verify(proof: Proof, leaf_hash: bytes, log_key: LogPublicKey) -> Checkpoint:
    """Return the checkpoint that covers the leaf at `proof.index`; else VerificationError."""
    checkpoint = verify_checkpoint(proof.checkpoint, log_key)
    tree.verify_inclusion(leaf_hash, proof.index, checkpoint.size, checkpoint.root, proof.hashes)
    return checkpoint
