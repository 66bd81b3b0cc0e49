"""The secrets that the configuration refers to, read from where it says."""

from collections.abc import Sequence

from macroslow.adapters.keystore import Keystore
from macroslow.adapters.statefolder import StateFolder
from macroslow.bootstrap.checks import shapes
from macroslow.bootstrap.references.sources import sources
from macroslow.crypto.quad import Quad
from macroslow.secretstore.resolve import Wanted, resolve
from macroslow.secretstore.secret import Secret
from macroslow.settings import Settings


async def secrets_of(
    settings: Settings, folder: StateFolder, quad: Quad, wanted: Sequence[Wanted]
) -> dict[str, Secret]:
    """Resolve `wanted`, by setting. ConfigurationError that names every one at fault."""
    return await resolve(wanted, sources(settings, Keystore(folder.keystore, quad)), shapes(settings))
