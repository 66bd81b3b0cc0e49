"""Ed25519 (RFC 8032, section 5.1): 32-byte seeds and public keys, 64-byte signatures.

A public key is the one encoding (section 5.1.3) of a point of the curve that is not one of the eight of small
order: under those, signatures verify that nobody made. The library behind it takes any 32 bytes.
"""

from dataclasses import dataclass, field
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ed25519

from macroslow.crypto.guarded import Guarded
from macroslow.errors import VerificationError

SEED_BYTES: Final = 32  # of ML-DSA too

_P: Final = 2**255 - 19
_D: Final = -121665 * pow(121666, -1, _P) % _P
_ORDER_8_Y: Final = int.from_bytes(
    bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"), "little"
)
_SMALL_ORDER_Y: Final = frozenset({1, _P - 1, 0, _ORDER_8_Y, _P - _ORDER_8_Y})
"""Of the points of order 1, 2, 4 and 8; all but the first two stand for two points, x and -x."""


@dataclass(frozen=True, slots=True)
class Ed25519PublicKey:
    """A public key of 32 bytes; ValueError for all that no private key has."""

    raw: bytes
    _key: ed25519.Ed25519PublicKey = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        key = ed25519.Ed25519PublicKey.from_public_bytes(self.raw)
        if not _is_sound(self.raw):
            raise ValueError("an Ed25519 public key that no key can have")
        object.__setattr__(self, "_key", key)

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


def _is_sound(raw: bytes) -> bool:
    """Whether 32 bytes are the one encoding of a point, and that is not of small order."""
    y = int.from_bytes(raw, "little") & (2**255 - 1)
    if y >= _P or y in _SMALL_ORDER_Y:
        return False
    # x^2 = u / v must have a root. x is not 0, so either sign bit is good; u and v are not 0 either.
    u, v = y * y - 1, _D * y * y + 1
    return pow(u * v, (_P - 1) // 2, _P) == 1
