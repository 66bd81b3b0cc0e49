"""The keys of token issuers, fetched from where the operator says and kept."""

from macroslow.adapters.jwks.fetched_keys import FetchedKeys

__all__ = ["FetchedKeys"]
