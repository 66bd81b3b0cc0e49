"""What the gateway says about its own actions: JSON claims under its answer key or its history key.

A JWS in General JSON form (see `jws`) whose `typ` names the kind of statement. It is no document
signature and cannot become one: another `typ`, another use in the key's identifier, and the
payload inside instead of detached.
"""

from collections.abc import Mapping
from typing import Final

from macroslow.crypto import base64url, jws, strict_json
from macroslow.crypto.hybrid import HybridPrivateKey, KeyUse
from macroslow.crypto.jws import FindKey, SignatureFacts
from macroslow.errors import VerificationError
from macroslow.ports import Statement

TYPES: Final[Mapping[KeyUse, str]] = {
    KeyUse.ANSWER: "macroslow-answer+jws",
    KeyUse.HISTORY: "macroslow-history+jws",
}
CLAIMS_BYTES: Final = 64 * 1024
TEXT_BYTES: Final = 2 * CLAIMS_BYTES
CLAIMS_DEPTH: Final = 8


def sign(statement: Statement, key: HybridPrivateKey, *, issued_ns: int) -> str:
    """Return the JWS as one line of JSON.

    ValueError if the key is not for statements, or the claims are outside the canonical profile
    (no floats, ASCII keys, integers below 2**53, 64 KiB).
    """
    typ = _typ(key.use)
    payload = _claims_bytes(dict(statement.claims))
    signatures = jws.sign(payload, key, typ=typ, issued_ns=issued_ns)
    return _canonical({"payload": base64url.encode(payload), "signatures": signatures}).decode("ascii")


def verify(text: str, find_key: FindKey, *, use: str) -> tuple[Statement, SignatureFacts]:
    """Return the statement and who signed it when; else VerificationError.

    Statements do not expire, and their time is the signer's word.
    """
    wanted = KeyUse(use)
    typ = _typ(wanted)
    payload, signatures = _take_apart(text)
    facts = jws.verify(payload, signatures, find_key, typ=typ, use=wanted, now_ns=None)
    return Statement(_claims(payload)), facts


def _typ(use: KeyUse) -> str:
    if use not in TYPES:
        raise ValueError(f"a key for signing a {use} makes no statements")
    return TYPES[use]


def _take_apart(text: str) -> tuple[bytes, object]:
    try:
        raw = text.encode("utf-8")
        envelope = strict_json.parse(raw, limit_bytes=TEXT_BYTES, max_depth=3)
        members = envelope if isinstance(envelope, dict) and len(envelope) == 2 else {}
        match members:
            case {"payload": str() as payload, "signatures": signatures} if _canonical(members) == raw:
                return base64url.decode(payload), signatures
            case _:
                raise ValueError("it is not `payload` and `signatures` in canonical form")
    except ValueError as error:
        raise VerificationError(f"the statement is refused: {error}") from None


def _claims(payload: bytes) -> dict[str, object]:
    try:
        claims = strict_json.parse(payload, limit_bytes=CLAIMS_BYTES, max_depth=CLAIMS_DEPTH)
        is_canonical = payload == _claims_bytes(claims)
    except ValueError as error:
        raise VerificationError(f"the statement's claims are refused: {error}") from None
    if not isinstance(claims, dict) or not is_canonical:
        raise VerificationError("the statement's claims are not an object in canonical form")
    return claims


def _claims_bytes(claims: object) -> bytes:
    return strict_json.canonical(claims, limit_bytes=CLAIMS_BYTES, max_depth=CLAIMS_DEPTH)


def _canonical(envelope: object) -> bytes:
    return strict_json.canonical(envelope, limit_bytes=TEXT_BYTES, max_depth=3)
