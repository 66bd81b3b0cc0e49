"""Where secrets are read from: the one table of places, for a server and for commands."""

import os
from collections.abc import Mapping

from macroslow.adapters.dotenv import EnvironmentSource, FileSource
from macroslow.secretstore.ports import SecretSource
from macroslow.secretstore.reference import Scheme
from macroslow.settings import Settings


def environment_of(settings: Settings) -> EnvironmentSource:
    """The process's environment, and beneath it the `.env` beside the configuration."""
    return EnvironmentSource(os.environ, settings.source.dotenv)


def sources(settings: Settings, keystore: SecretSource) -> Mapping[Scheme, SecretSource]:
    """What `secretstore.resolve` reads from."""
    return {
        Scheme.ENV: environment_of(settings),
        Scheme.FILE: FileSource(settings.source.folder),
        Scheme.KEYSTORE: keystore,
    }
