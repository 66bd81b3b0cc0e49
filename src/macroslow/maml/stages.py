"""The stages of trust, as types: skipping one does not type-check.

    Received(bytes) -> Attested(exact bytes, signer) -> Document(parsed, origin checked) -> Authorised(rights)

Only `receive`, `attest`, `read` and `authorise` make these values. The constructors ask for a seal that
is private to this module and raise TypeError without it, so bypassing a stage takes a deliberate act that
a reviewer sees; tests too go through the functions.

The signature is checked over the exact bytes before any of them is parsed. An unsigned document's
origin is a label: it grants nothing. A signed one's origin must be among those that the operator let
its key speak for.
"""

import enum
from collections.abc import Sequence
from dataclasses import InitVar, dataclass
from typing import Final

from macroslow.authz.uri import URI, Pattern, any_covers
from macroslow.crypto import documents
from macroslow.crypto.hybrid import HybridPublicKey
from macroslow.errors import SignatureRefusedError, TooLargeError
from macroslow.maml.document import Parsed
from macroslow.maml.parse import MAX_DOCUMENT_BYTES, parse
from macroslow.maml.rights import OperatorRights, Rights, decide_rights
from macroslow.maml.signers import TrustedSigners

_SEAL: Final = object()
_STEP: Final = "signature"


class SignatureRule(enum.StrEnum):
    """When a signature is demanded. A document's own flag only raises this, so the last two agree on it."""

    REQUIRED = "required"  # always
    FLAGGED = "flagged"  # of documents with quantum_security_flag
    OPTIONAL = "optional"  # never by the operator; the flag still demands it

    def demands(self, *, flag: bool) -> bool:
        """Whether a document whose quantum_security_flag is `flag` must be signed."""
        return flag or self is SignatureRule.REQUIRED


@dataclass(frozen=True, slots=True)
class Signer:
    """Whose key vouches for a document, and for which origins it may (`agent://NAME` patterns)."""

    key_id: str
    name: str
    origins: tuple[str, ...]
    issued_ns: int

    def speaks_for(self, origin: str) -> bool:
        """Whether the operator lets its key sign in the name of `origin`."""
        return any_covers(map(Pattern.parse, self.origins), URI.parse(origin))


@dataclass(frozen=True, slots=True)
class _Sealed:
    """Base of the stages: made in this module or not at all."""

    seal: InitVar[object]

    def __post_init__(self, seal: object) -> None:
        if seal is not _SEAL:
            raise TypeError(f"{type(self).__name__} is made by the functions of {__name__} alone")


@dataclass(frozen=True, slots=True)
class Received(_Sealed):
    """Bytes within the cap; nothing else is known of them. `sidecar` is a signature sent beside them."""

    raw: bytes
    sidecar: bytes | None


@dataclass(frozen=True, slots=True)
class Attested(_Sealed):
    """`signed` are the exact bytes without trailer, `raw` those that came; `signer` vouches, if any does."""

    signed: bytes
    raw: bytes
    signer: Signer | None


@dataclass(frozen=True, slots=True)
class Document(_Sealed):
    """A document that passed every check, whose signer, if any, may speak for its origin."""

    parsed: Parsed
    attested: Attested

    @property
    def signer(self) -> Signer | None:
        return self.attested.signer

    @property
    def raw(self) -> bytes:
        """The bytes as they were submitted, trailer included."""
        return self.attested.raw


@dataclass(frozen=True, slots=True)
class Authorised(_Sealed):
    """A document that may run, with all that it may touch."""

    document: Document
    rights: Rights


def receive(raw: bytes, cap_bytes: int = MAX_DOCUMENT_BYTES, *, sidecar: bytes | None = None) -> Received:
    """Take bytes in; TooLargeError beyond the cap. A signature comes as trailer or as sidecar, not both."""
    if len(raw) > cap_bytes:
        detail = f"the document has {len(raw)} bytes, {cap_bytes} are taken"
        raise TooLargeError(
            detail, limit_bytes=cap_bytes, fix="split it, or send data as inputs", step="size"
        )
    return Received(_SEAL, raw, sidecar)


def attest(received: Received, signers: TrustedSigners, now_ns: int) -> Attested:
    """Check the signature over the exact bytes, if there is one.

    SignatureRefusedError if it is there and not accepted: damaged, expired, by an unknown or revoked key.
    """
    signed, trailer = documents.split(received.raw)
    if trailer is not None and received.sidecar is not None:
        raise _refused("two signatures came, as trailer and beside the document", "send one of them")
    signature = trailer if trailer is not None else received.sidecar
    if signature is None:
        return Attested(_SEAL, signed, received.raw, None)
    facts = _verified(signed, signature, signers, now_ns)
    record = signers.record(facts.key_id)
    signer = Signer(record.key_id, record.name, record.origins, facts.issued_ns)
    return Attested(_SEAL, signed, received.raw, signer)


def _verified(
    signed: bytes, signature: bytes, signers: TrustedSigners, now_ns: int
) -> documents.SignatureFacts:
    """As `documents.verify`; a key that was revoked is named instead of being unknown."""
    asked: list[str] = []

    def find_key(key_id: str) -> HybridPublicKey | None:
        asked.append(key_id)
        return signers.find_key(key_id)

    try:
        return documents.verify(signed, signature, find_key, now_ns=now_ns)
    except SignatureRefusedError:
        revoked = [record for record in map(signers.known, asked) if record and record.revoked_ns is not None]
        if revoked:
            fix = "have it signed by a key that the operator trusts (macroslow signers list)"
            raise _refused(f"the key of {revoked[0].name} was revoked by the operator", fix) from None
        raise


def read(attested: Attested, rule: SignatureRule) -> Document:
    """Parse and check the document, and its origin against its signer.

    Raises InvalidDocumentError with all problems; SignatureRefusedError if a signature is demanded and
    missing (before parsing, where the rule alone says so), or the key may not speak for the origin.
    """
    if attested.signer is None and rule.demands(flag=False):
        raise _refused("this gateway takes signed documents only", _SIGN_IT)
    parsed = parse(attested.signed)
    signer = attested.signer
    if signer is None:
        if rule.demands(flag=parsed.front.quantum_security_flag):
            raise _refused("quantum_security_flag is true, so the document must be signed", _SIGN_IT)
    elif not signer.speaks_for(parsed.front.origin):
        fix = f"the operator may allow it: macroslow signers trust KEY --origin {parsed.front.origin}"
        raise _refused(f"the key of {signer.name} may not speak for {parsed.front.origin}", fix)
    return Document(_SEAL, parsed, attested)


def authorise(
    document: Document, *, caller_grants: Sequence[Sequence[str]], operator: OperatorRights
) -> Authorised:
    """Decide all that the document asks for; MissingRightError has the line to add, or who must allow it."""
    rights = decide_rights(document.parsed, caller_grants=caller_grants, operator=operator)
    return Authorised(_SEAL, document, rights)


_SIGN_IT: Final = "sign it: macroslow maml sign FILE"


def _refused(detail: str, fix: str) -> SignatureRefusedError:
    return SignatureRefusedError(detail, fix=fix, step=_STEP)
