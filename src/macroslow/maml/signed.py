"""What must never be rewritten: a signature is over exact bytes, so a changed signed file is a broken one."""

from macroslow.crypto import documents
from macroslow.errors import SignatureRefusedError


def refuse_signed(raw: bytes) -> None:
    """Raise SignatureRefusedError if the document has a signature trailer, or what is left of one."""
    _, signature = documents.split(raw)
    if signature is not None:
        fix = "change the document before it is signed, then: macroslow maml sign FILE"
        raise SignatureRefusedError(
            "the document is signed, and any change breaks it", fix=fix, step="signature"
        )
