"""The two kinds of key we use, as JSON Web Keys (RFC 7517).

Ed25519 is key type OKP (RFC 8037), ML-DSA-65 is key type AKP (RFC 9964); a private key is its
32-byte seed. Thumbprints follow RFC 7638: SHA-256 over the required members alone.
"""

import hashlib
from typing import Final

import orjson

from macroslow.crypto import base64url

ED25519: Final = "Ed25519"
ML_DSA_65: Final = "ML-DSA-65"


def ed25519(public: bytes) -> dict[str, str]:
    """Return the required members of an Ed25519 public key."""
    return {"kty": "OKP", "crv": ED25519, "x": base64url.encode(public)}


def ml_dsa_65(public: bytes) -> dict[str, str]:
    """Return the required members of an ML-DSA-65 public key."""
    return {"kty": "AKP", "alg": ML_DSA_65, "pub": base64url.encode(public)}


def thumbprint(required: dict[str, str]) -> str:
    """Return the RFC 7638 thumbprint of a key's required members, as base64url."""
    return base64url.encode(hashlib.sha256(orjson.dumps(required, option=orjson.OPT_SORT_KEYS)).digest())
