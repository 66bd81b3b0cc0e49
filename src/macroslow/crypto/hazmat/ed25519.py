"""Ed25519 (RFC 8032, section 5.1): 32-byte seeds and public keys, 64-byte signatures."""

from dataclasses import dataclass, field
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ed25519

from macroslow.crypto.guarded import Guarded
from macroslow.errors import VerificationError

SEED_BYTES: Final = 32  # of ML-DSA too


@dataclass(frozen=True, slots=True)
class Ed25519PublicKey:
    """A public key of 32 bytes; ValueError for any other length."""

    raw: bytes
    _key: ed25519.Ed25519PublicKey = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_key", ed25519.Ed25519PublicKey.from_public_bytes(self.raw))

    def verify(self, signature: bytes, message: bytes) -> None:
        """Return if this key signed `message`; else raise VerificationError."""
        try:
            self._key.verify(signature, message)
        except InvalidSignature:
            raise VerificationError("the Ed25519 signature does not verify") from None


class Ed25519PrivateKey(Guarded):
    """A private key, made from its 32-byte seed; ValueError for any other length."""

    __slots__ = ("_key", "public")

    def __init__(self, seed: bytes) -> None:
        self._key: Final = ed25519.Ed25519PrivateKey.from_private_bytes(seed)
        self.public: Final = Ed25519PublicKey(self._key.public_key().public_bytes_raw())

    def seed(self) -> bytes:
        """Return the seed, to be written to a key file."""
        return self._key.private_bytes_raw()

    def sign(self, message: bytes) -> bytes:
        """Return the 64-byte signature; the same one for the same message."""
        return self._key.sign(message)
