"""The gateway's own keys as files."""

from macroslow.adapters.keyfiles.folder import GatewayKeys, ensure, ensure_sealing, load
from macroslow.adapters.keyfiles.place import INSIDE, Place, make_signer, signer_folder
from macroslow.adapters.keyfiles.signer_files import SignerFiles, SignerKeys

__all__ = [
    "INSIDE",
    "GatewayKeys",
    "Place",
    "SignerFiles",
    "SignerKeys",
    "ensure",
    "ensure_sealing",
    "load",
    "make_signer",
    "signer_folder",
]
