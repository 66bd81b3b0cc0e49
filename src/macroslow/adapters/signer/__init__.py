"""Keepers of the gateway's signing keys."""

from macroslow.adapters.signer.engine import Engine
from macroslow.adapters.signer.high_water import HighWaterMarks
from macroslow.adapters.signer.local import LocalSigner
from macroslow.adapters.signer.peer import absent, reach
from macroslow.adapters.signer.process import SignerProcess

__all__ = ["Engine", "HighWaterMarks", "LocalSigner", "SignerProcess", "absent", "reach"]
