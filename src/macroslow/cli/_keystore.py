"""The keystore, opened under the gateway's own sealing roots."""

from macroslow.adapters.keyfiles import ensure, ensure_sealing, load
from macroslow.adapters.keystore import Keystore
from macroslow.adapters.statefolder import hold, prepare
from macroslow.adapters.system import SystemEntropy
from macroslow.bootstrap.signing.places import keys_place
from macroslow.bootstrap.state.stores import begin_books
from macroslow.crypto.quad import Quad
from macroslow.settings import Settings


def open_keystore(settings: Settings) -> Keystore:
    """The keystore of the state folder. The roots are made if there are none; a server may be running."""
    folder = prepare(settings.state_folder)
    entropy = SystemEntropy()
    if not folder.has_keys:
        with hold(folder):
            begin_books(settings, folder)
            if settings.log.signer is None:
                ensure(folder.path, settings.log_origin, entropy, keys_place(settings, folder))
            else:
                ensure_sealing(folder.path, entropy)
    keys = load(folder.path)
    return Keystore(folder.keystore, Quad(keys.quad_roots, entropy))
