"""Secrets by their references: where they are read from, for a server and for commands, and in which form."""

import os
from collections.abc import Mapping, Sequence

from macroslow.adapters.dotenv import EnvironmentSource, FileSource
from macroslow.adapters.keystore import Keystore
from macroslow.adapters.statefolder import StateFolder
from macroslow.crypto.quad import Quad
from macroslow.errors import ConfigurationError
from macroslow.secretstore.ports import SecretSource
from macroslow.secretstore.reference import Scheme
from macroslow.secretstore.resolve import Shape, Wanted, resolve
from macroslow.secretstore.secret import Secret
from macroslow.settings import Settings


async def secrets_of(
    settings: Settings, folder: StateFolder, quad: Quad, wanted: Sequence[Wanted]
) -> dict[str, Secret]:
    """Resolve `wanted`, by setting. ConfigurationError that names every one at fault."""
    return await resolve(wanted, sources(settings, Keystore(folder.keystore, quad)), shapes(settings))


def environment_of(settings: Settings) -> EnvironmentSource:
    """The process's environment, and beneath it the `.env` beside the configuration."""
    return EnvironmentSource(os.environ, settings.source.dotenv)


def sources(settings: Settings, keystore: SecretSource) -> Mapping[Scheme, SecretSource]:
    """What `secretstore.resolve` reads from: the one table of places."""
    return {
        Scheme.ENV: environment_of(settings),
        Scheme.FILE: FileSource(settings.source.folder),
        Scheme.KEYSTORE: keystore,
    }


def shapes(settings: Settings) -> Mapping[str, Shape]:
    """The form of those secrets that have one, by setting."""
    found: dict[str, Shape] = {
        f"telemetry.headers.{name}": header_value for name in settings.telemetry.headers
    }
    if settings.alerts.webhooks:
        from macroslow.adapters.webhook import signing_key  # here: see Outward

        found |= {f"alerts.webhooks[{n}].secret": signing_key for n in range(len(settings.alerts.webhooks))}
    return found


def header_value(secret: Secret) -> str:
    """The value of a header. Printable, or it could begin a header of its own. ConfigurationError."""
    text = secret.reveal()
    if not (text.isascii() and text.isprintable()):
        raise ConfigurationError("cannot be the value of a header", fix="write one line of printable ASCII")
    return text
