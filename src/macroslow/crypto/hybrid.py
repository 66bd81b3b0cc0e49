"""Signing keys in pairs: Ed25519 and ML-DSA-65 together, for one use, and neither without the other.

Documents are signed by their authors, answers and histories by the gateway. The use is part of
the key's identifier, so a key cannot be moved to another use, and whoever loads one says which
use he wants.

Text forms: a private key is a JSON object with two JWKs that hold seeds; a public key is a JWK
Set (RFC 7517), where both JWKs share the `kid` and carry the use as `macroslow_use`.
"""

import base64
import enum
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

import orjson

from macroslow.crypto import base64url, jwk, strict_json
from macroslow.crypto.guarded import Guarded
from macroslow.crypto.hazmat.ed25519 import SEED_BYTES, Ed25519PrivateKey, Ed25519PublicKey
from macroslow.crypto.hazmat.ml_dsa import MLDSA65PrivateKey, MLDSA65PublicKey
from macroslow.errors import BadRequestError
from macroslow.ports import Entropy

KEY_TEXT_BYTES: Final = 16 * 1024  # a pair takes about 3.5 KiB
_DEPTH: Final = 4


class KeyUse(enum.StrEnum):
    """What a key may sign, and nothing else."""

    DOCUMENT = "document"
    ANSWER = "answer"
    HISTORY = "history"


@dataclass(frozen=True, slots=True)
class HybridPublicKey:
    """Both public keys. `key_id` names them and the use: base64url of a SHA-256, 43 characters."""

    use: KeyUse
    ed25519: Ed25519PublicKey
    ml_dsa_65: MLDSA65PublicKey
    key_id: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "use", KeyUse(self.use))
        names = ["macroslow-key v1", self.use.value, jwk.thumbprint(jwk.ed25519(self.ed25519.raw))]
        names.append(jwk.thumbprint(jwk.ml_dsa_65(self.ml_dsa_65.raw)))
        object.__setattr__(
            self, "key_id", base64url.encode(hashlib.sha256("\n".join(names).encode()).digest())
        )

    @property
    def fingerprint(self) -> str:
        """160 bits of the key identifier in eight groups of four, to be compared by telephone."""
        return fingerprint(base64url.decode(self.key_id))

    def to_jwks(self) -> str:
        """Return the JWK Set as text."""
        return jwks([self])

    @classmethod
    def from_jwks(cls, text: str, *, use: str) -> "HybridPublicKey":
        """Read a JWK Set that holds exactly one pair for `use`; else BadRequestError."""
        try:
            return _public_from(_members(text, {"keys"}), KeyUse(use))
        except ValueError as error:
            raise _not_a_key("public", use, error) from None


class HybridPrivateKey(Guarded):
    """Both private keys, made from their 32-byte seeds."""

    __slots__ = ("ed25519", "ml_dsa_65", "public")

    def __init__(self, use: KeyUse, ed25519_seed: bytes, ml_dsa_65_seed: bytes) -> None:
        self.ed25519: Final = Ed25519PrivateKey(ed25519_seed)
        self.ml_dsa_65: Final = MLDSA65PrivateKey(ml_dsa_65_seed)
        self.public: Final = HybridPublicKey(use, self.ed25519.public, self.ml_dsa_65.public)

    @classmethod
    def generate(cls, use: str, entropy: Entropy) -> "HybridPrivateKey":
        """Return a new key for `use`."""
        return cls(KeyUse(use), entropy.random(SEED_BYTES), entropy.random(SEED_BYTES))

    @property
    def use(self) -> KeyUse:
        """What this key may sign."""
        return self.public.use

    @property
    def key_id(self) -> str:
        """The identifier of the pair, as in signatures."""
        return self.public.key_id

    def to_json(self) -> str:
        """Return the text of a key file. It holds the seeds: write it to a private file only."""
        keys = [
            {**jwk.ed25519(self.ed25519.public.raw), "d": base64url.encode(self.ed25519.seed())},
            {**jwk.ml_dsa_65(self.ml_dsa_65.public.raw), "priv": base64url.encode(self.ml_dsa_65.seed())},
        ]
        members = {"macroslow_private_key": 1, "use": self.use.value, "kid": self.key_id, "keys": keys}
        return orjson.dumps(members, option=orjson.OPT_INDENT_2).decode() + "\n"

    @classmethod
    def from_json(cls, text: str, *, use: str) -> "HybridPrivateKey":
        """Read a key file. BadRequestError if it is none, is damaged, or is for another use."""
        try:
            members = _members(text, {"macroslow_private_key", "use", "kid", "keys"})
            key = _private_from(members, KeyUse(use))
        except ValueError as error:
            raise _not_a_key("private", use, error) from None
        return key


def jwks(keys: Iterable[HybridPublicKey]) -> str:
    """Return one JWK Set with all the keys, two JWKs each."""
    members = []
    for key in keys:
        common = {"kid": key.key_id, "use": "sig", "macroslow_use": key.use.value}
        members += [{**jwk.ed25519(key.ed25519.raw), "alg": jwk.ED25519, **common}]
        members += [{**jwk.ml_dsa_65(key.ml_dsa_65.raw), **common}]
    return orjson.dumps({"keys": members}, option=orjson.OPT_INDENT_2).decode() + "\n"


def fingerprint(digest: bytes) -> str:
    """Return the first 160 bits in eight groups of four characters (RFC 4648 base32)."""
    text = base64.b32encode(digest[:20]).decode("ascii")
    return "-".join(text[start : start + 4] for start in range(0, len(text), 4))


def _members(text: str, names: set[str]) -> dict[str, object]:
    value = strict_json.parse(
        text.encode("utf-8", "surrogatepass"), limit_bytes=KEY_TEXT_BYTES, max_depth=_DEPTH
    )
    if not isinstance(value, dict) or set(value) != names:
        raise ValueError(f"it is not an object of {', '.join(sorted(names))}")
    return value


def _pair(members: dict[str, object]) -> tuple[dict[str, object], dict[str, object]]:
    match members["keys"]:
        case [dict() as first, dict() as second]:
            if (first.get("kty"), first.get("crv")) == ("OKP", jwk.ED25519) and (
                second.get("kty"),
                second.get("alg"),
            ) == ("AKP", jwk.ML_DSA_65):
                return first, second
    raise ValueError("`keys` is not one Ed25519 key (OKP) and one ML-DSA-65 key (AKP), in this order")


def _bytes(key: dict[str, object], name: str) -> bytes:
    match key.get(name):
        case str() as value:
            return base64url.decode(value)
        case _:
            raise ValueError(f"`{name}` is missing in a key")


def _public_from(members: dict[str, object], use: KeyUse) -> HybridPublicKey:
    first, second = _pair(members)
    for key in (first, second):
        if "d" in key or "priv" in key:
            raise ValueError("it holds a private key; give the public one")
        if key.get("macroslow_use") != use:
            raise ValueError(f"it is a key for {key.get('macroslow_use')!r}")
    public = HybridPublicKey(
        use, Ed25519PublicKey(_bytes(first, "x")), MLDSA65PublicKey(_bytes(second, "pub"))
    )
    if not first.get("kid") == second.get("kid") == public.key_id:
        raise ValueError("its `kid` does not fit its keys and use")
    return public


def _private_from(members: dict[str, object], use: KeyUse) -> HybridPrivateKey:
    if members["use"] != use:
        raise ValueError(f"it is a key for {members['use']!r}")
    first, second = _pair(members)
    key = HybridPrivateKey(use, _bytes(first, "d"), _bytes(second, "priv"))
    fits = _bytes(first, "x") == key.ed25519.public.raw and _bytes(second, "pub") == key.ml_dsa_65.public.raw
    if members["kid"] != key.key_id or not fits:
        raise ValueError("its public parts do not fit its seeds")
    return key


def _not_a_key(kind: str, use: str, error: ValueError) -> BadRequestError:
    return BadRequestError(
        f"this is not a {kind} key for signing a {use}: {error}",
        fix="macroslow signers new makes a pair of key files",
    )
