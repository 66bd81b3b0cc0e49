"""What the checking of tokens needs from outside: an issuer's keys as they are now."""

from typing import Protocol

from macroslow.authn.jwt.keys import KeySet


class KeySource(Protocol):
    """The keys of one issuer. The same KeySet object for as long as nothing changed."""

    @property
    def keys(self) -> KeySet:
        """What is in force now; EMPTY if nothing came yet, or too long ago."""
        ...

    async def renew(self) -> None:
        """Look for newer keys, because a token named one that is unknown; not at every call."""
        ...


class FixedKeys:
    """Keys that never change while the process lives."""

    def __init__(self, keys: KeySet) -> None:
        self.keys = keys

    async def renew(self) -> None:
        """Nothing is newer."""
