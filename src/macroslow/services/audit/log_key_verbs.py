"""The operator's verbs about the log's key."""

from dataclasses import dataclass

from macroslow.errors import ConflictError
from macroslow.services.proofs.rotate_log_key import KeyKeeper, RotateLogKey
from macroslow.services.verbs import GivenReason


@dataclass(frozen=True, slots=True)
class LogKeyVerbs:
    """Every verb takes JSON and returns JSON. `shared`: other servers sign the same log."""

    keeper: KeyKeeper
    change: RotateLogKey
    shared: bool

    async def key(self) -> object:
        """The public key that signs now."""
        current = self.keeper.keys.current
        return {"key": current.format(), "fingerprint": current.fingerprint, "origin": current.origin}

    async def succession(self) -> object:
        """The hand-overs from the log's first key to this one, oldest first."""
        keys = self.keeper.keys
        hand_overs = [one.decode() for one in keys.hand_overs]
        return {"hand_overs": hand_overs, "fingerprint": keys.current.fingerprint}

    async def rotate_key(self, reason: GivenReason) -> object:
        """Give the log another key."""
        if self.shared:
            raise ConflictError(
                "several servers may sign a log in a shared database, and the others would keep the old key",
                fix="no command gives such a log another key in this version",
            )
        old = self.keeper.keys.current.fingerprint
        new = await self.change(reason)
        return {"id": new.fingerprint, "key": new.format(), "fingerprint": new.fingerprint, "old": old}
