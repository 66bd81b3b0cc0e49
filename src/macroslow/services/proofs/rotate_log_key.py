"""Give the log another key: the old one signs its own successor, and is destroyed.

An entry names both keys; the last checkpoint of the old key covers it; both keys sign the hand-over, which
holds its receipt, and by which whoever pinned the old key finds the new one (see `tlog.succession`). Whatever
is cut off between two steps, the key to come stays staged, and the next start begins again with it: an entry
more, and no key less.
"""

from typing import Final, Protocol

import orjson

from macroslow.authn.principal import THE_GATEWAY
from macroslow.ports import Clock
from macroslow.services.proofs.prove_entry import ProveEntry
from macroslow.services.signing.checkpoint_log import CheckpointLog
from macroslow.tlog.checkpoint import LogPublicKey
from macroslow.tlog.event import Event, EventType
from macroslow.tlog.ports import Append
from macroslow.tlog.succession import LogKeys
from macroslow.workflow.books import Books

CUT_OFF: Final = "a change of keys that had been cut off was completed"


class KeyKeeper(Protocol):
    """A signer that can be given another key."""

    @property
    def keys(self) -> LogKeys: ...

    async def stage(self) -> LogPublicKey:
        """Make the key to come, unless there is one; return its public half."""
        ...

    async def hand_over(self, receipt: bytes) -> None:
        """Sign with the staged key from now on. VerificationError unless the receipt names it."""
        ...


class RotateLogKey:
    """One change of the log's key."""

    def __init__(
        self, books: Books, keeper: KeyKeeper, checkpoints: CheckpointLog, prove: ProveEntry, clock: Clock
    ) -> None:
        self._books = books
        self._keeper = keeper
        self._checkpoints = checkpoints
        self._prove = prove
        self._clock = clock

    async def __call__(self, reason: str) -> LogPublicKey:
        """Return the new public key once it signs. LogUnavailableError if a step cannot be made durable."""
        self._checkpoints.check_signing()  # or each start would add an entry that nothing covers
        old, new = self._keeper.keys.current, await self._keeper.stage()
        fields = {
            "old_fingerprint": old.fingerprint,
            "new_fingerprint": new.fingerprint,
            "new_ed25519": new.ed25519.vkey,
            "new_ml_dsa_44": new.ml_dsa_44.vkey,
            "reason": reason,
        }
        event = Event(EventType.LOG_KEY_ROTATED, self._clock.now_ns(), THE_GATEWAY, fields)
        (entry,) = await self._books.commit(Append(event))
        await self._keeper.hand_over(orjson.dumps(await self._prove(entry)))
        await self._checkpoints.renew()
        return new
