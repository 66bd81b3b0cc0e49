"""The gateway's own keys as files of the state folder."""

from macroslow.adapters.keyfiles.folder import GatewayKeys, ensure, load
from macroslow.adapters.keyfiles.signer_files import SignerFiles, SignerKeys

__all__ = ["GatewayKeys", "SignerFiles", "SignerKeys", "ensure", "load"]
