"""One log's keys, one after another: each is named by an entry that the one before it signed.

When a log is given another key, an entry of type LOG_KEY_ROTATED names both, and the last checkpoint of
the old key covers it. The receipt of that entry, under the old key, is the hand-over: whoever pinned an
old key follows the receipts to the newest and believes nobody but the key he pinned. `follow_succession`
does that offline.

A fork's key is of another log: nothing here leads to it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from macroslow.crypto.note_keys import NotePublicKey
from macroslow.errors import VerificationError
from macroslow.tlog import note, receipt
from macroslow.tlog.checkpoint import Checkpoint, LogPublicKey, verify_parsed
from macroslow.tlog.event import EventType

MAX_SUCCESSION: Final = 1000  # a key a day for three years


@dataclass(frozen=True, slots=True)
class Retired:
    """A key that signs no more. `receipt` hands over to the next one; None: a fork began another log."""

    key: LogPublicKey
    receipt: bytes | None


@dataclass(frozen=True, slots=True)
class LogKeys:
    """The key that signs, and those before it, oldest first."""

    current: LogPublicKey
    retired: tuple[Retired, ...] = ()

    @property
    def receipts(self) -> list[bytes]:
        """The hand-overs within the present log, oldest first."""
        forks = [at for at, one in enumerate(self.retired, 1) if one.receipt is None]
        return [one.receipt for one in self.retired[max(forks, default=0) :] if one.receipt is not None]

    def since(self, pinned: LogPublicKey) -> list[LogPublicKey]:
        """`pinned` and all keys that it leads to; VerificationError for a hand-over that does not hold."""
        return succession(pinned, self.receipts)

    def verify(self, signed_note: bytes) -> Checkpoint:
        """Return the tree head that one of our keys signed, the newest that did; else VerificationError."""
        return verify_under(signed_note, [self.current, *(one.key for one in reversed(self.retired))])


def verify_under(signed_note: bytes, keys: Sequence[LogPublicKey]) -> Checkpoint:
    """Return the tree head that the first of `keys` with a line in the note signed. VerificationError."""
    parsed = note.parse(signed_note)
    claimed = [key for key in keys if parsed.signed_by(key.ed25519)]
    return verify_parsed(parsed, claimed[0] if claimed else keys[0])


def follow_succession(pinned: LogPublicKey, receipts: Sequence[bytes]) -> LogPublicKey:
    """Return the newest key that `pinned` leads to; see `succession`."""
    return succession(pinned, receipts)[-1]


def succession(pinned: LogPublicKey, receipts: Sequence[bytes]) -> list[LogPublicKey]:
    """Return `pinned` and the keys after it, as the receipts (from an adversary) prove them, in their order.

    Hand-overs before the pinned key are passed over. VerificationError if one does not follow from the key
    before it.
    """
    if len(receipts) > MAX_SUCCESSION:
        raise VerificationError(f"more than {MAX_SUCCESSION} keys of one log")
    keys = [pinned]
    for number, raw in enumerate(receipts, 1):
        try:
            keys.append(handed_over(raw, keys[-1]))
        except VerificationError as error:
            if len(keys) == 1:
                continue  # of a key before the one that was pinned
            raise VerificationError(f"hand-over {number} does not hold: {error.detail}") from None
    return keys


def handed_over(raw: bytes, old: LogPublicKey) -> LogPublicKey:
    """Return the key that the receipt, under `old`, names as the next one; else VerificationError."""
    said = receipt.verify(raw, old).statement
    match said["what"], said["details"]:
        case what, {
            "old_fingerprint": str() as leaves,
            "new_fingerprint": str() as comes,
            "new_ed25519": str() as ed25519,
            "new_ml_dsa_44": str() as ml_dsa_44,
        } if what == receipt.WHAT[EventType.LOG_KEY_ROTATED]:
            new = _key(ed25519, ml_dsa_44)
        case _:
            raise VerificationError("the receipt is of another entry than one that gives the log a new key")
    if (leaves, comes, new.origin) != (old.fingerprint, new.fingerprint, old.origin):
        raise VerificationError("the entry hands over from another key, to another key or to another log")
    return new


def _key(ed25519: str, ml_dsa_44: str) -> LogPublicKey:
    try:
        return LogPublicKey(NotePublicKey.from_vkey(ed25519), NotePublicKey.from_vkey(ml_dsa_44))
    except ValueError as error:
        raise VerificationError(f"the entry names no key of a log: {error}") from None
