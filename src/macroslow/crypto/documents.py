"""The signature of a document: its author's key vouches for the exact bytes, nothing is parsed first.

A detached JWS (RFC 7515, appendix F; see `jws`). It stands at the end of the file, after one fixed
marker line, or in a file of its own with the same content. A document with trailer is

    the signed bytes, LF, MARKER, LF, the signature JSON on one line, LF

so that the signed bytes come out exactly, whether they end with a line feed or not. The marker may
occur once: any other appearance of its text is refused, because a reader that overlooks a damaged
trailer would take a signed document for an unsigned one.
"""

from typing import Final

from macroslow.crypto import jws, strict_json
from macroslow.crypto.hybrid import HybridPrivateKey, KeyUse
from macroslow.crypto.jws import FindKey, SignatureFacts
from macroslow.errors import SignatureRefusedError, VerificationError

__all__ = ["FindKey", "SignatureFacts", "sign", "sign_detached", "split", "verify"]

MARKER: Final = b"<!-- macroslow-signature v1 -->"
TYP: Final = "macroslow-document+jws"
SIGNATURE_BYTES: Final = 8 * 1024  # about 5.3 KiB are used
_DEPTH: Final = 3


def split(raw: bytes) -> tuple[bytes, bytes | None]:
    """Return the signed bytes and the signature JSON, or `raw` and None where no trailer is.

    SignatureRefusedError if there is anything of a trailer that is not exactly one whole one.
    """
    if MARKER not in raw:
        return raw, None
    signed, _, rest = raw.partition(b"\n" + MARKER + b"\n")
    if raw.count(MARKER) != 1 or not rest:
        raise _refused("the signature trailer is damaged, or its marker occurs more than once")
    signature, _, after = rest.partition(b"\n")
    if after or not rest.endswith(b"\n") or not signature or b"\r" in signature:
        raise _refused("the signature trailer is not one line of JSON at the end of the file")
    return signed, signature


def sign(raw: bytes, key: HybridPrivateKey, *, issued_ns: int, expires_ns: int | None = None) -> bytes:
    """Return the document with its trailer; SignatureRefusedError if it has one already."""
    signature = sign_detached(raw, key, issued_ns=issued_ns, expires_ns=expires_ns)
    return b"".join([raw, b"\n", MARKER, b"\n", signature, b"\n"])


def sign_detached(
    raw: bytes, key: HybridPrivateKey, *, issued_ns: int, expires_ns: int | None = None
) -> bytes:
    """Return the signature JSON of `raw`, as it stands in a sidecar file."""
    if MARKER in raw:
        raise _refused("the document is signed already", fix="sign the document without its trailer")
    if key.use is not KeyUse.DOCUMENT:
        raise _refused(f"the key is for signing a {key.use}, not a document")
    signatures = jws.sign(raw, key, typ=TYP, issued_ns=issued_ns, expires_ns=expires_ns)
    return _canonical({"signatures": signatures})


def verify(signed: bytes, signature: bytes, find_key: FindKey, *, now_ns: int) -> SignatureFacts:
    """Return whose key signed exactly `signed`, and when; else SignatureRefusedError."""
    if MARKER in signed:
        raise _refused("the document has a signature of its own beside this one")
    try:
        envelope = strict_json.parse(signature, limit_bytes=SIGNATURE_BYTES, max_depth=_DEPTH)
    except ValueError as error:
        raise _refused(f"the signature cannot be read: {error}") from None
    if not isinstance(envelope, dict) or set(envelope) != {"signatures"}:
        raise _refused("the signature is not an object with the one member `signatures`")
    try:
        facts = jws.verify(
            signed, envelope["signatures"], find_key, typ=TYP, use=KeyUse.DOCUMENT, now_ns=now_ns
        )
    except VerificationError as error:
        raise _refused(f"the document's signature is not accepted: {error.detail}") from None
    if signature != _canonical(envelope):
        raise _refused("the signature is not in its one canonical form")
    return facts


def _canonical(envelope: object) -> bytes:
    return strict_json.canonical(envelope, limit_bytes=SIGNATURE_BYTES, max_depth=_DEPTH)


def _refused(
    detail: str, *, fix: str = "get the original from its author, or have it signed: macroslow maml sign"
) -> SignatureRefusedError:
    return SignatureRefusedError(detail, fix=fix, step="signature")
