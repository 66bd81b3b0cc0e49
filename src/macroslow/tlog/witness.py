"""Witnesses (C2SP tlog-witness): what they are asked, and what their answers are worth.

    old <size of the tree that the witness cosigned last>
    <one base64 hash a line: the consistency proof from it>

    <the checkpoint>

Nothing that a witness sends is believed but a cosignature that verifies under the key that the operator
pinned, over exactly the checkpoint that was sent.
"""

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from macroslow.crypto.note_keys import NotePublicKey
from macroslow.errors import VerificationError
from macroslow.tlog import note
from macroslow.tlog.note import Note, SignatureLine

PATH: Final = "add-checkpoint"
SIZE_TYPE: Final = "text/x.tlog.size"
MAX_ANSWER_BYTES: Final = 128 * 1024  # 16 lines of ML-DSA-44 are half of it
MAX_SIZE_BYTES: Final = 20  # of a size line
AHEAD_S: Final = 300  # how far a witness's clock may be ahead of ours
_SIZE_LINE: Final = re.compile(rb"(0|[1-9][0-9]{0,18})\n")


@dataclass(frozen=True, slots=True)
class Cosigned:
    """The witness says that it cosigned: its signature lines, not verified yet."""

    lines: bytes


@dataclass(frozen=True, slots=True)
class OtherSize:
    """The witness says that it last cosigned a tree of another size than the one it was told."""

    size: int


@dataclass(frozen=True, slots=True)
class Inconsistent:
    """The witness says that the tree does not extend the one that it cosigned last."""


Answer = Cosigned | OtherSize | Inconsistent


class Witness(Protocol):
    """One witness, reached somehow."""

    async def add_checkpoint(self, old_size: int, proof: Sequence[bytes], checkpoint: bytes) -> Answer:
        """Ask once. UpstreamUnavailableError, whose `reason` says why, for every other end."""
        ...


def request_body(old_size: int, proof: Sequence[bytes], checkpoint: bytes) -> bytes:
    """Return the body of add-checkpoint."""
    lines = [f"old {old_size}\n", *(f"{base64.b64encode(value).decode('ascii')}\n" for value in proof)]
    return "".join(lines).encode("ascii") + b"\n" + checkpoint


def parse_size(raw: bytes) -> int:
    """Return the size that a witness answered with; VerificationError if it is none."""
    found = _SIZE_LINE.fullmatch(raw)
    if found is None or int(found[1]) > note.MAX_SIZE:
        raise VerificationError("it answered a conflict without a size")
    return int(found[1])


def cosignature(
    checkpoint: Note, lines: bytes, key: NotePublicKey, *, now_s: int
) -> tuple[SignatureLine, int]:
    """Return the one line of `key` in a witness's answer, and when it cosigned `checkpoint`, in seconds.

    Lines of other keys are left out. VerificationError if `key` has none or several, it does not verify,
    or its time is missing or yet to come.
    """
    answered = Note(checkpoint.text, note.parse_lines(lines))
    time_s = answered.verify(key)
    if time_s == 0:
        raise VerificationError("its cosignature has no time")
    if time_s > now_s + AHEAD_S:
        raise VerificationError(f"its cosignature is dated {time_s - now_s} s ahead of our clock")
    return answered.line_of(key), time_s
