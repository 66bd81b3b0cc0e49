"""Signatures of tokens that others issue, by their names in JOSE; of our own, for trials, EdDSA alone.

A key is a value of its type, and a type verifies with its own algorithms alone. Five algorithms and no
more: RS256, PS256, ES256, EdDSA (of its curves Ed25519) and HS256.

Source: RFC 7518, sections 3 and 6; RFC 8037, sections 2 and 3.1; RFC 8725, section 3.2.
"""

import enum
import hmac
from collections.abc import Mapping
from typing import Any, Final

import orjson

from macroslow.crypto import base64url
from macroslow.crypto.guarded import Guarded
from macroslow.crypto.hazmat.ecdsa import P256PublicKey
from macroslow.crypto.hazmat.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from macroslow.crypto.hazmat.rsa import RSAPublicKey
from macroslow.errors import VerificationError

MIN_SECRET_BYTES: Final = 32  # RFC 7518, section 3.2: as long as the hash


class Algorithm(enum.StrEnum):
    """The algorithms that a token may be signed with, by their names in a header (RFC 7518, 3.1)."""

    RS256 = "RS256"
    PS256 = "PS256"
    ES256 = "ES256"
    EDDSA = "EdDSA"
    HS256 = "HS256"


class SharedSecret(Guarded):
    """The secret of an issuer that signs with HMAC: at least 32 bytes, ValueError for fewer."""

    __slots__ = ("_secret",)

    def __init__(self, secret: bytes) -> None:
        if len(secret) < MIN_SECRET_BYTES:
            raise ValueError(f"a shared secret has at least {MIN_SECRET_BYTES} bytes")
        self._secret: Final = secret

    def verify(self, signature: bytes, message: bytes) -> None:
        """Return if `signature` is HMAC-SHA256 of `message`; else raise VerificationError."""
        if not hmac.compare_digest(hmac.digest(self._secret, message, "sha256"), signature):
            raise VerificationError("the HMAC does not fit")


class SigningKey(Guarded):
    """An Ed25519 key that tokens are signed with, made from a seed of 32 bytes."""

    __slots__ = ("_key", "public")

    def __init__(self, seed: bytes) -> None:
        self._key: Final = Ed25519PrivateKey(seed)
        self.public: Final = self._key.public

    def sign(self, header: Mapping[str, str], claims: Mapping[str, object]) -> str:
        """A token in the compact form (RFC 7515, section 3.1); the header gets its `alg`."""
        parts = (dict(header) | {"alg": Algorithm.EDDSA}, claims)
        message = ".".join(base64url.encode(orjson.dumps(part)) for part in parts)
        return f"{message}.{base64url.encode(self._key.sign(message.encode('ascii')))}"


VerificationKey = RSAPublicKey | P256PublicKey | Ed25519PublicKey | SharedSecret


def verify(key: VerificationKey, algorithm: Algorithm, signature: bytes, message: bytes) -> None:
    """Return if `key` signed `message` with `algorithm`; else raise VerificationError."""
    match key, algorithm:
        case RSAPublicKey(), Algorithm.RS256:
            key.verify_pkcs1(signature, message)
        case RSAPublicKey(), Algorithm.PS256:
            key.verify_pss(signature, message)
        case P256PublicKey(), Algorithm.ES256:
            key.verify(signature, message)
        case Ed25519PublicKey(), Algorithm.EDDSA:
            key.verify(signature, message)
        case SharedSecret(), Algorithm.HS256:
            key.verify(signature, message)
        case _:
            raise VerificationError(f"a key of another type than {algorithm} takes")


def public_key(member: Mapping[str, Any]) -> tuple[VerificationKey, tuple[Algorithm, ...]]:
    """The public key of a JSON Web Key, and what it can verify. ValueError says why it is none of ours."""
    match member.get("kty"), member.get("crv"):
        case "RSA", _:
            rsa_key = RSAPublicKey(_number(member, "n"), _number(member, "e"))
            return rsa_key, (Algorithm.RS256, Algorithm.PS256)
        case "EC", "P-256":
            return P256PublicKey(_octets(member, "x"), _octets(member, "y")), (Algorithm.ES256,)
        case "OKP", "Ed25519":
            return Ed25519PublicKey(_octets(member, "x")), (Algorithm.EDDSA,)
    raise ValueError("its type or curve is none of RSA, P-256 and Ed25519")


def _number(member: Mapping[str, Any], name: str) -> int:
    return int.from_bytes(_octets(member, name), "big")


def _octets(member: Mapping[str, Any], name: str) -> bytes:
    value = member.get(name)
    try:
        return base64url.decode(value if isinstance(value, str) else "=")
    except ValueError as error:
        raise ValueError(f"its `{name}` is {error}") from None
