"""RSA signatures of others, verified only: PKCS #1 v1.5 and PSS, both with SHA-256 (RFC 8017, section 8).

PSS as RFC 7518, section 3.5 has it: MGF1 with SHA-256 and a salt as long as the hash.
"""

from dataclasses import dataclass, field
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from macroslow.errors import VerificationError

MIN_BITS: Final = 2048  # RFC 7518, section 3.3
MAX_BITS: Final = 8192  # beyond, one verification costs milliseconds: a way to slow us down
MAX_EXPONENT: Final = 2**32 - 1  # for the same reason; everybody uses 65537
_SHA256: Final = hashes.SHA256()
_PKCS1: Final = padding.PKCS1v15()
_PSS: Final = padding.PSS(padding.MGF1(_SHA256), _SHA256.digest_size)


@dataclass(frozen=True, slots=True)
class RSAPublicKey:
    """A public key of 2048 to 8192 bits; ValueError for any other."""

    modulus: int
    exponent: int
    _key: rsa.RSAPublicKey = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        bits = self.modulus.bit_length()
        if not MIN_BITS <= bits <= MAX_BITS:
            raise ValueError(f"an RSA key of {bits} bits, not {MIN_BITS} to {MAX_BITS}")
        if self.exponent > MAX_EXPONENT:
            raise ValueError(f"an RSA exponent above {MAX_EXPONENT}")
        key = rsa.RSAPublicNumbers(self.exponent, self.modulus).public_key()
        object.__setattr__(self, "_key", key)

    def verify_pkcs1(self, signature: bytes, message: bytes) -> None:
        """Return if this key signed `message` (RSASSA-PKCS1-v1_5); else raise VerificationError."""
        self._verify(signature, message, _PKCS1)

    def verify_pss(self, signature: bytes, message: bytes) -> None:
        """Return if this key signed `message` (RSASSA-PSS); else raise VerificationError."""
        self._verify(signature, message, _PSS)

    def _verify(self, signature: bytes, message: bytes, how: padding.PKCS1v15 | padding.PSS) -> None:
        try:
            self._key.verify(signature, message, how, _SHA256)
        except InvalidSignature:
            raise VerificationError("the RSA signature does not verify") from None
