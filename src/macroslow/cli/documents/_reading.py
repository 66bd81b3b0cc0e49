"""Workflow documents as commands read them."""

from pathlib import Path
from typing import Final

from macroslow.cli._files import read_up_to
from macroslow.maml.parse import MAX_DOCUMENT_BYTES

MAX_SIGNED_BYTES: Final = MAX_DOCUMENT_BYTES + 16 * 1024  # a document and its trailer


def read_document(file: Path) -> bytes:
    """The bytes of a file or of standard input. One that is too large is cut, and refused by its size."""
    return read_up_to(file, MAX_SIGNED_BYTES + 1)
