"""Check a document exactly as a run would, and run nothing."""

import asyncio
import hashlib
from dataclasses import asdict, dataclass

from macroslow.authn.principal import Principal
from macroslow.services.documents.admit_document import AdmitDocument, Submission


@dataclass(frozen=True, slots=True)
class ValidateDocument:
    """The checks of /execute, less everything that costs money or leaves a trace."""

    admit: AdmitDocument

    async def __call__(self, principal: Principal, submission: Submission) -> dict[str, object]:
        """Return what the document is and may do; raises what /execute would raise."""
        admitted = await asyncio.to_thread(self.admit, principal, submission)
        document = admitted.document
        return {
            "valid": True,
            "id": document.parsed.front.id,
            "type": document.parsed.front.type,
            "origin": document.parsed.front.origin,
            "signer": document.signer.key_id if document.signer else None,
            "document_sha256": hashlib.sha256(submission.raw).hexdigest(),
            "rights": [*admitted.authorised.rights.uris],
            "blocks": [{"language": block.language, "name": block.name} for block in admitted.plan.blocks],
            "verification": admitted.plan.verification,
            "warnings": [asdict(warning) for warning in admitted.warnings],
        }
