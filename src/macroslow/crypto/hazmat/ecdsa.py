"""ECDSA signatures of others on P-256 with SHA-256, verified only (FIPS 186-5; RFC 7518, section 3.4)."""

from dataclasses import dataclass, field
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from macroslow.errors import VerificationError

COORDINATE_BYTES: Final = 32
_ES256: Final = ec.ECDSA(hashes.SHA256())


@dataclass(frozen=True, slots=True)
class P256PublicKey:
    """A point by its coordinates, 32 bytes each; ValueError if they are not, or it is not on the curve."""

    x: bytes
    y: bytes
    _key: ec.EllipticCurvePublicKey = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if len(self.x) != COORDINATE_BYTES or len(self.y) != COORDINATE_BYTES:
            raise ValueError("a P-256 coordinate that has not 32 bytes")
        x, y = int.from_bytes(self.x, "big"), int.from_bytes(self.y, "big")
        object.__setattr__(self, "_key", ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key())

    def verify(self, signature: bytes, message: bytes) -> None:
        """Return if this key signed `message`; else raise VerificationError. 64 bytes: R and S."""
        if len(signature) != 2 * COORDINATE_BYTES:
            raise VerificationError("an ES256 signature has 64 bytes")
        r = int.from_bytes(signature[:COORDINATE_BYTES], "big")
        s = int.from_bytes(signature[COORDINATE_BYTES:], "big")
        try:  # r and s of 0, or not below the curve's order, are the library's to refuse (CVE-2022-21449)
            self._key.verify(encode_dss_signature(r, s), message, _ES256)
        except InvalidSignature:
            raise VerificationError("the ECDSA signature does not verify") from None
