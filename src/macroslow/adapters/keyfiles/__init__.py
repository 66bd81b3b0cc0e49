"""The gateway's own keys as files."""

from macroslow.adapters.keyfiles.folder import GatewayKeys, check_without_signer, ensure, ensure_sealing, load
from macroslow.adapters.keyfiles.looking import look
from macroslow.adapters.keyfiles.place import INSIDE, Place, lies_inside, make_signer, signer_folder
from macroslow.adapters.keyfiles.signer_files import SignerFiles, SignerKeys

__all__ = [
    "INSIDE",
    "GatewayKeys",
    "Place",
    "SignerFiles",
    "SignerKeys",
    "check_without_signer",
    "ensure",
    "ensure_sealing",
    "lies_inside",
    "load",
    "look",
    "make_signer",
    "signer_folder",
]
