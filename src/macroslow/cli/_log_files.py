"""Files about a log that somebody kept: its checkpoints, also those in receipts, and its public key."""

import base64
from pathlib import Path
from typing import Final

import click

from macroslow.cli._files import read_whole
from macroslow.errors import BadRequestError, VerificationError
from macroslow.tlog import note, receipt
from macroslow.tlog.checkpoint import LogPublicKey

FILE: Final = click.Path(exists=True, dir_okay=False, path_type=Path)


def checkpoint_of(file: Path | None, option: str) -> str | None:
    """A signed note in base64; what else it is, and whether it is of this log, is the verdict's.

    The file is one, or a receipt, or an answer that holds its receipt. BadRequestError if it is neither.
    """
    if file is None:
        return None
    raw = read_whole(file, receipt.MAX_ANSWER_BYTES)
    try:
        if raw.lstrip().startswith(b"{"):
            raw = receipt.checkpoint_in(receipt.taken_out(raw)[0])
        note.parse(raw)
    except VerificationError as error:
        fix = f"give {option} what `macroslow audit checkpoint` printed, or a receipt"
        raise BadRequestError(f"{file} is no checkpoint: {error.detail}", fix=fix) from None
    return base64.b64encode(raw).decode()


def log_key_of(file: Path | None) -> str | None:
    """The text of a log's public key."""
    return None if file is None else log_key(file).format()


def log_key(file: Path) -> LogPublicKey:
    """A log's public key. BadRequestError, which names the file, if it is something else."""
    text = read_whole(file, note.MAX_NOTE_BYTES).decode("utf-8", "replace")
    try:
        return LogPublicKey.parse(text)
    except BadRequestError as error:
        raise BadRequestError(f"{file}: {error.detail}", fix=error.fix) from None
