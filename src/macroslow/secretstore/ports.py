"""What the rules about secrets need from outside: somewhere to read them, something to seal them with."""

from typing import Protocol

from macroslow.secretstore.reference import Reference
from macroslow.secretstore.secret import Secret


class SecretSource(Protocol):
    """One kind of place where secrets are kept."""

    async def read(self, reference: Reference) -> Secret:
        """Return what is kept there, however unlikely a secret it is.

        Raises ConfigurationError, with the repair, if there is nothing or it cannot be read.
        """
        ...


class Sealer(Protocol):
    """Seals small contents under the gateway's own keys; `crypto.quad` does. Called from several threads."""

    def seal(self, plaintext: bytes, subject: str, /, *, purpose: str) -> bytes:
        """Return the sealed bytes, bound to `subject` and `purpose`."""
        ...

    def open(self, sealed: bytes, subject: str, /, *, purpose: str) -> bytes:
        """Return the plaintext; DecryptionFailedError if it was altered or belongs elsewhere."""
        ...
