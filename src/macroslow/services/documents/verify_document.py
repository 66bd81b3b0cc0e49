"""Whose signature a document has, over its exact bytes; nothing is run, and nothing is signed."""

import asyncio
import hashlib
from dataclasses import dataclass

from macroslow.errors import InvalidDocumentError, SignatureRefusedError
from macroslow.maml import stages
from macroslow.maml.parse import parse
from macroslow.ports import Clock
from macroslow.services.identity.manage_signers import ManageSigners
from macroslow.services.verbs import utc


@dataclass(frozen=True, slots=True)
class VerifyDocument:
    """Judges by the keys that the operator trusts now. Its fields are everything that it touches."""

    signers: ManageSigners
    clock: Clock

    async def __call__(self, raw: bytes, signature: bytes | None = None) -> dict[str, object]:
        """Return `status` (trusted, unsigned, refused), why, the signer, and for whom it may speak.

        `signature` is a file beside the document. A signature that is not accepted is an outcome and no
        error; TooLargeError for more than a document may have.
        """
        return await asyncio.to_thread(self._judged, raw, signature)

    def _judged(self, raw: bytes, signature: bytes | None) -> dict[str, object]:
        received = stages.receive(raw, sidecar=signature)
        try:
            attested = stages.attest(received, self.signers.trusted, self.clock.now_ns())
        except SignatureRefusedError as error:
            return _told("refused", error.detail, raw, raw, None, None)
        signer, origin = attested.signer, _origin(attested.signed)
        if signer is None:
            return _told("unsigned", "nobody signed it", raw, attested.signed, None, origin)
        return _told("trusted", f"signed by {signer.name}", raw, attested.signed, signer, origin)


def _told(
    status: str, detail: str, raw: bytes, signed: bytes, signer: stages.Signer | None, origin: str | None
) -> dict[str, object]:
    shown = signer and {
        "key_id": signer.key_id,
        "name": signer.name,
        "origins": [*signer.origins],
        "signed_at": utc(signer.issued_ns),
    }
    speaks = None if signer is None or origin is None else signer.speaks_for(origin)
    if speaks is False:
        detail += f", who may not speak for {origin}"
    return {
        "status": status,
        "detail": detail,
        "signer": shown,
        "origin": origin,
        "speaks_for_origin": speaks,
        "document_sha256": hashlib.sha256(raw).hexdigest(),
        "signed_sha256": hashlib.sha256(signed).hexdigest(),
    }


def _origin(signed: bytes) -> str | None:
    try:
        return parse(signed).front.origin
    except InvalidDocumentError:
        return None
