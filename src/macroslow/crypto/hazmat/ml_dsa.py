"""ML-DSA-44 and ML-DSA-65 (FIPS 204): 32-byte seeds, pure signatures with an optional context.

Signing is hedged: two signatures of the same message differ. It releases the interpreter's lock
and takes about half a millisecond (44) or one (65), so edges call it in a thread.
"""

from dataclasses import dataclass, field
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import mldsa

from macroslow.crypto.guarded import Guarded
from macroslow.errors import VerificationError


@dataclass(frozen=True, slots=True)
class MLDSA44PublicKey:
    """A public key of 1,312 bytes; ValueError for any other length."""

    raw: bytes
    _key: mldsa.MLDSA44PublicKey = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_key", mldsa.MLDSA44PublicKey.from_public_bytes(self.raw))

    def verify(self, signature: bytes, message: bytes, context: bytes = b"") -> None:
        """Return if this key signed `message` under `context`; else raise VerificationError."""
        try:
            self._key.verify(signature, message, context)
        except (InvalidSignature, ValueError):  # ValueError: a context over 255 bytes
            raise VerificationError("the ML-DSA-44 signature does not verify") from None


class MLDSA44PrivateKey(Guarded):
    """A private key, made from its 32-byte seed; ValueError for any other length."""

    __slots__ = ("_key", "public")

    def __init__(self, seed: bytes) -> None:
        self._key: Final = mldsa.MLDSA44PrivateKey.from_seed_bytes(seed)
        self.public: Final = MLDSA44PublicKey(self._key.public_key().public_bytes_raw())

    def seed(self) -> bytes:
        """Return the seed, to be written to a key file."""
        return self._key.private_bytes_raw()

    def sign(self, message: bytes, context: bytes = b"") -> bytes:
        """Return a 2,420-byte signature; ValueError if `context` is longer than 255 bytes."""
        return self._key.sign(message, context)


@dataclass(frozen=True, slots=True)
class MLDSA65PublicKey:
    """A public key of 1,952 bytes; ValueError for any other length."""

    raw: bytes
    _key: mldsa.MLDSA65PublicKey = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_key", mldsa.MLDSA65PublicKey.from_public_bytes(self.raw))

    def verify(self, signature: bytes, message: bytes, context: bytes = b"") -> None:
        """Return if this key signed `message` under `context`; else raise VerificationError."""
        try:
            self._key.verify(signature, message, context)
        except (InvalidSignature, ValueError):  # ValueError: a context over 255 bytes
            raise VerificationError("the ML-DSA-65 signature does not verify") from None


class MLDSA65PrivateKey(Guarded):
    """A private key, made from its 32-byte seed; ValueError for any other length."""

    __slots__ = ("_key", "public")

    def __init__(self, seed: bytes) -> None:
        self._key: Final = mldsa.MLDSA65PrivateKey.from_seed_bytes(seed)
        self.public: Final = MLDSA65PublicKey(self._key.public_key().public_bytes_raw())

    def seed(self) -> bytes:
        """Return the seed, to be written to a key file."""
        return self._key.private_bytes_raw()

    def sign(self, message: bytes, context: bytes = b"") -> bytes:
        """Return a 3,309-byte signature; ValueError if `context` is longer than 255 bytes."""
        return self._key.sign(message, context)
