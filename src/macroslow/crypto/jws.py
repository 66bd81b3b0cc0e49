"""JWS in General JSON form with two required signatures: ML-DSA-65 and Ed25519.

RFC 7515 (section 7.2.1), RFC 9964 for ML-DSA-65, RFC 9864 for Ed25519. Both protected headers are
the same but for `alg`, list both algorithms in the critical `sigset`, and name one key pair, so
that neither signature stands without the other. There is one encoding of everything: canonical
headers, fixed order, no unprotected header. Algorithms come from here, never from the message.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from macroslow.crypto import base64url, jwk, strict_json
from macroslow.crypto.hybrid import HybridPrivateKey, HybridPublicKey, KeyUse
from macroslow.errors import VerificationError
from macroslow.ports import NS_PER_S

SIGSET: Final = (jwk.ML_DSA_65, jwk.ED25519)
HEADER_BYTES: Final = 1024  # about 200 are used
CLOCK_SKEW_NS: Final = 60 * NS_PER_S  # a signer's clock may be this much ahead of ours
_HEADER_MEMBERS: Final = frozenset({"alg", "crit", "iat", "kid", "sigset", "typ"})

FindKey = Callable[[str], HybridPublicKey | None]


@dataclass(frozen=True, slots=True)
class SignatureFacts:
    """What a verified signature says: whose key, since when and until when (whole seconds, in ns)."""

    key_id: str
    issued_ns: int
    expires_ns: int | None


def sign(
    payload: bytes, key: HybridPrivateKey, *, typ: str, issued_ns: int, expires_ns: int | None = None
) -> list[dict[str, str]]:
    """Return the `signatures` member: first ML-DSA-65, then Ed25519."""
    header: dict[str, object] = {
        "crit": ["sigset"],
        "iat": issued_ns // NS_PER_S,
        "kid": key.key_id,
        "sigset": list(SIGSET),
        "typ": typ,
    }
    if expires_ns is not None:
        header["exp"] = expires_ns // NS_PER_S
    encoded = base64url.encode(payload)
    signatures = []
    for alg, sign_bytes in ((jwk.ML_DSA_65, key.ml_dsa_65.sign), (jwk.ED25519, key.ed25519.sign)):
        protected = base64url.encode(_canonical({**header, "alg": alg}))
        signature = sign_bytes(f"{protected}.{encoded}".encode("ascii"))
        signatures.append({"protected": protected, "signature": base64url.encode(signature)})
    return signatures


def verify(
    payload: bytes, signatures: object, find_key: FindKey, *, typ: str, use: KeyUse, now_ns: int | None
) -> SignatureFacts:
    """Return what both signatures vouch for, or raise VerificationError.

    `signatures` is parsed JSON from an adversary. `now_ns` None leaves times unchecked: for
    statements, which stay true for ever.
    """
    first, second = _two(signatures)
    header = _header(first[0], typ)
    if _header_bytes(second[0]) != _canonical({**header, "alg": jwk.ED25519}):
        raise VerificationError("the two signatures have different headers")
    key = _find(find_key, header, use)
    encoded = base64url.encode(payload)
    key.ml_dsa_65.verify(_decode(first[1]), f"{first[0]}.{encoded}".encode("ascii"))
    key.ed25519.verify(_decode(second[1]), f"{second[0]}.{encoded}".encode("ascii"))
    return _facts(key.key_id, header, now_ns)


def _two(signatures: object) -> tuple[tuple[str, str], tuple[str, str]]:
    match signatures:
        case [dict() as first, dict() as second]:
            return _one(first), _one(second)
        case _:
            raise VerificationError(f"it does not hold exactly two signatures, {SIGSET[0]} and {SIGSET[1]}")


def _one(signature: dict[str, object]) -> tuple[str, str]:
    match signature:
        case {"protected": str() as protected, "signature": str() as value} if len(signature) == 2:
            return protected, value
        case _:
            raise VerificationError("a signature has other members than `protected` and `signature`")


def _header(protected: str, typ: str) -> Mapping[str, object]:
    """The first protected header, checked member by member."""
    raw = _header_bytes(protected)
    try:
        header = strict_json.parse(raw, limit_bytes=HEADER_BYTES, max_depth=2)
        is_canonical = raw == strict_json.canonical(header, limit_bytes=HEADER_BYTES, max_depth=2)
    except ValueError as error:
        raise VerificationError(f"a protected header is refused: {error}") from None
    if not isinstance(header, dict) or not _HEADER_MEMBERS <= set(header) <= _HEADER_MEMBERS | {"exp"}:
        raise VerificationError("a protected header has other members than it must")
    if header["alg"] != jwk.ML_DSA_65 or header["sigset"] != list(SIGSET) or header["crit"] != ["sigset"]:
        raise VerificationError(f"the algorithms are not {SIGSET[0]} and {SIGSET[1]}, both required")
    if header["typ"] != typ:
        raise VerificationError(f"it is not signed as {typ}")
    if type(header["iat"]) is not int or type(header.get("exp", 0)) is not int:
        raise VerificationError("a time in the header is not a whole number of seconds")
    if not is_canonical:
        raise VerificationError("a protected header is not in canonical form")
    return header


def _header_bytes(protected: str) -> bytes:
    if len(protected) > 2 * HEADER_BYTES:
        raise VerificationError("a protected header is too long")
    return _decode(protected)


def _decode(text: str) -> bytes:
    try:
        return base64url.decode(text)
    except ValueError as error:
        raise VerificationError(f"a part of the signature is {error}") from None


def _canonical(header: Mapping[str, object]) -> bytes:
    return strict_json.canonical(dict(header), limit_bytes=HEADER_BYTES, max_depth=2)


def _find(find_key: FindKey, header: Mapping[str, object], use: KeyUse) -> HybridPublicKey:
    kid = header["kid"]
    key = find_key(kid) if isinstance(kid, str) else None
    if key is None or key.key_id != kid:
        raise VerificationError(f"the signing key {str(kid)[:64]!r} is not known here")
    if key.use is not use:
        raise VerificationError(f"the signing key is for signing a {key.use}, not a {use}")
    return key


def _facts(key_id: str, header: Mapping[str, object], now_ns: int | None) -> SignatureFacts:
    issued_s, expires_s = header["iat"], header.get("exp")
    if not isinstance(issued_s, int) or not isinstance(expires_s, int | None):
        raise VerificationError("a time in the header is not a whole number of seconds")
    issued_ns = issued_s * NS_PER_S
    expires_ns = None if expires_s is None else expires_s * NS_PER_S
    if now_ns is not None and issued_ns > now_ns + CLOCK_SKEW_NS:
        raise VerificationError("the signature is dated in the future")
    if now_ns is not None and expires_ns is not None and now_ns >= expires_ns:
        raise VerificationError("the signature has expired")
    return SignatureFacts(key_id, issued_ns, expires_ns)
