"""One log's keys, one after another: each is named by an entry that the one before it signed.

When a log is given another key, an entry of type LOG_KEY_ROTATED names both, a checkpoint of the old key
covers it, and both keys sign the hand-over (see `tlog.hand_over`): whoever pinned an old key follows the
hand-overs to the newest and believes nobody but the key he pinned. `succession` does that offline.

A hand-over ends the key before it: what that signs beyond its last tree is not believed any more, where the
hand-over is known. A fork's key is of another log: nothing here leads to it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from macroslow.errors import VerificationError
from macroslow.tlog import note
from macroslow.tlog.checkpoint import Checkpoint, LogPublicKey, verify_parsed
from macroslow.tlog.hand_over import handed_over, last_size

MAX_SUCCESSION: Final = 1000  # a key a day for three years


@dataclass(frozen=True, slots=True)
class Retired:
    """A key that signs no more. `hand_over` leads to the next one; None: a fork began another log."""

    key: LogPublicKey
    hand_over: bytes | None


@dataclass(frozen=True, slots=True)
class Reached:
    """A key of a log, `steps` hand-overs after the one that was pinned.

    `last_size`: of the last tree that it signed, where a hand-over says that it signs no more.
    """

    key: LogPublicKey
    steps: int
    last_size: int | None = None

    def check_size(self, size: int) -> None:
        """Return if the key may have signed a tree of `size` entries; else VerificationError."""
        if self.last_size is not None and size > self.last_size:
            raise VerificationError(
                f"the key {self.key.fingerprint} was retired at {self.last_size} entries, and this is of"
                f" {size}: somebody signed with it afterwards"
            )


@dataclass(frozen=True, slots=True)
class LogKeys:
    """The key that signs, and those before it, oldest first."""

    current: LogPublicKey
    retired: tuple[Retired, ...] = ()

    @property
    def hand_overs(self) -> list[bytes]:
        """Those within the present log, oldest first."""
        forks = [at for at, one in enumerate(self.retired, 1) if one.hand_over is None]
        return [one.hand_over for one in self.retired[max(forks, default=0) :] if one.hand_over is not None]

    def since(self, pinned: LogPublicKey) -> list[LogPublicKey]:
        """`pinned` and all keys that it leads to; VerificationError for a hand-over that does not hold."""
        return [one.key for one in succession(pinned, self.hand_overs)]

    def verify(self, signed_note: bytes) -> Checkpoint:
        """Return the tree head that one of our keys signed in its time, the newest that did.

        VerificationError for every other.
        """
        parsed = note.parse(signed_note)
        claimed = [one for one in self.retired if parsed.signed_by(one.key.ed25519)]
        if not claimed or parsed.signed_by(self.current.ed25519):
            return verify_parsed(parsed, self.current)
        found = verify_parsed(parsed, claimed[-1].key)
        if claimed[-1].hand_over is not None:
            Reached(claimed[-1].key, 0, last_size(claimed[-1].hand_over)).check_size(found.size)
        return found


def verify_under(signed_note: bytes, keys: Sequence[LogPublicKey]) -> Checkpoint:
    """Return the tree head that the first of `keys` with a line in the note signed. VerificationError."""
    parsed = note.parse(signed_note)
    claimed = [key for key in keys if parsed.signed_by(key.ed25519)]
    return verify_parsed(parsed, claimed[0] if claimed else keys[0])


def succession(pinned: LogPublicKey, hand_overs: Sequence[bytes]) -> list[Reached]:
    """Return `pinned` and the keys after it, as the hand-overs (from an adversary) prove them, in order.

    Hand-overs before the pinned key are passed over. VerificationError if one does not follow from the key
    before it.
    """
    if len(hand_overs) > MAX_SUCCESSION:
        raise VerificationError(f"more than {MAX_SUCCESSION} keys of one log")
    found = [Reached(pinned, 0)]
    for number, raw in enumerate(hand_overs, 1):
        last = found[-1]
        try:
            new = handed_over(raw, last.key)
        except VerificationError as error:
            if len(found) == 1:
                continue  # of a key before the one that was pinned
            raise VerificationError(f"hand-over {number} does not hold: {error.detail}") from None
        found[-1:] = [Reached(last.key, last.steps, new.last_size), Reached(new.key, last.steps + 1)]
    return found
