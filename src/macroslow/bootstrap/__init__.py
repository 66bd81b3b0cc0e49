"""The one place where implementations are chosen and wired.

Assemblies inside one another: the sandbox's helper process, started before any secret is known; the
core (state folder, keys, books), which is all that commands on keys, logs and reports need; the
gateway, which resolves the providers' secrets and does paid work; the edges, which serve it.
"""

from macroslow.bootstrap.commands import administer, administer_gateway, first_key, key_defaults
from macroslow.bootstrap.edges import Started, create_app, serve

__all__ = [
    "Started",
    "administer",
    "administer_gateway",
    "create_app",
    "first_key",
    "key_defaults",
    "serve",
]
