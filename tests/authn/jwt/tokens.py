"""Tokens as issuers make them, and as nobody should: header and claims are any text."""

import hashlib
import hmac
import json
from collections.abc import Mapping
from functools import cache
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from macroslow.authn.jwt.issuer import IssuerRules
from macroslow.authn.jwt.keys import KeySet, read_key_set
from macroslow.crypto import base64url

NOW_S = 1_900_000_000
ISS = "https://id.example/"
AUDIENCE = "https://gateway.example"
RULES = IssuerRules(name="main", issuer=ISS, audiences=frozenset({AUDIENCE}))

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


@cache
def rsa_key(name: str = "first", bits: int = 2048) -> rsa.RSAPrivateKey:
    """One key a name, for the whole of a test run: they are slow to make."""
    return rsa.generate_private_key(65537, bits)


@cache
def ec_key(name: str = "first") -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@cache
def ed_key(name: str = "first") -> ed25519.Ed25519PrivateKey:
    return ed25519.Ed25519PrivateKey.generate()


def claims(**changed: Any) -> dict[str, Any]:
    """The claims of a token that is good at NOW_S. None removes one."""
    whole = {
        "iss": ISS,
        "sub": "alice",
        "aud": AUDIENCE,
        "exp": NOW_S + 300,
        "iat": NOW_S - 10,
        "jti": "token-1",
        "scope": "inference:chat",
    } | changed
    return {name: value for name, value in whole.items() if value is not None}


def part(value: object) -> str:
    """One part of a token: JSON of `value`, or the text itself as it stands."""
    text = value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
    return base64url.encode(text.encode())


def signature(algorithm: str, key: Any, message: bytes) -> bytes:
    match algorithm:
        case "RS256":
            return key.sign(message, padding.PKCS1v15(), hashes.SHA256())
        case "PS256":
            pss = padding.PSS(padding.MGF1(hashes.SHA256()), 32)
            return key.sign(message, pss, hashes.SHA256())
        case "ES256":
            r, s = decode_dss_signature(key.sign(message, ec.ECDSA(hashes.SHA256())))
            return r.to_bytes(32, "big") + s.to_bytes(32, "big")
        case "EdDSA":
            return key.sign(message)
        case "HS256":
            return hmac.new(key, message, hashlib.sha256).digest()
    return b""


def token(
    payload: object = None,
    *,
    algorithm: str = "EdDSA",
    key: Any = None,
    kid: str | None = "ed",
    header: Mapping[str, Any] | str | None = None,
) -> bytes:
    """A token. `header` as a mapping is added to the usual one, as text it replaces it."""
    usual: dict[str, Any] = {"alg": algorithm, "typ": "JWT"} | ({} if kid is None else {"kid": kid})
    whole = header if isinstance(header, str) else usual | dict(header or {})
    message = f"{part(whole)}.{part(claims() if payload is None else payload)}".encode()
    signed = signature(algorithm, ed_key() if key is None else key, message)
    return message + b"." + base64url.encode(signed).encode()


def jwk(key: PrivateKey, kid: str | None = None, **more: Any) -> dict[str, Any]:
    """The public half as a JSON Web Key."""
    named = {} if kid is None else {"kid": kid}
    match key:
        case rsa.RSAPrivateKey():
            numbers = key.public_key().public_numbers()
            n = numbers.n.to_bytes((numbers.n.bit_length() + 7) // 8, "big")
            members = {"kty": "RSA", "n": base64url.encode(n), "e": base64url.encode(b"\x01\x00\x01")}
        case ec.EllipticCurvePrivateKey():
            point = key.public_key().public_numbers()
            x, y = point.x.to_bytes(32, "big"), point.y.to_bytes(32, "big")
            members = {"kty": "EC", "crv": "P-256", "x": base64url.encode(x), "y": base64url.encode(y)}
        case ed25519.Ed25519PrivateKey():
            x = key.public_key().public_bytes_raw()
            members = {"kty": "OKP", "crv": "Ed25519", "x": base64url.encode(x)}
    return members | named | more


def jwks(*keys: Mapping[str, Any]) -> bytes:
    return json.dumps({"keys": keys}).encode()


def usual_keys() -> KeySet:
    """One key of each type: "rsa", "ec" and "ed"."""
    return read_key_set(jwks(jwk(rsa_key(), "rsa"), jwk(ec_key(), "ec"), jwk(ed_key(), "ed")))


def pem(key: rsa.RSAPrivateKey) -> bytes:
    """The public key as the text that a confused verifier would take as a secret."""
    return key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
