"""At a start: a change of the log's key that was cut off is completed, and said."""

import logging
from typing import Final

from macroslow.bootstrap.signing.process import AnySigner
from macroslow.errors import LogUnavailableError
from macroslow.services.proofs.rotate_log_key import CUT_OFF, RotateLogKey

log: Final = logging.getLogger("macroslow.server")


async def complete_key_change(signer: AnySigner, change: RotateLogKey) -> str:
    """Return what the operator is told of it, in the log too; empty where nothing was cut off."""
    old, staged = signer.keys.current, signer.staged
    if staged is None:
        return ""
    try:
        await change(CUT_OFF)
    except LogUnavailableError as error:
        note = (
            f"a change of the log's key from {old.fingerprint} to {staged.fingerprint} was cut off and is not"
            f" completed: {error.reason}; `macroslow audit rotate-key` completes it, or a later start"
        )
    else:
        note = (
            f"a change of the log's key that had been cut off was completed: it is {staged.fingerprint} from"
            f" now on; before it was {old.fingerprint}"
        )
    log.warning("%s", note)
    return note
