"""`macroslow receipt verify`: offline, with a pinned key and nothing of the gateway's."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Final

import click

from macroslow.cli._errors import CANNOT_DECIDE, CHECKED_IS_BAD
from macroslow.cli._files import read_whole
from macroslow.cli._output import emit, json_option
from macroslow.crypto import strict_json
from macroslow.errors import VerificationError
from macroslow.tlog import receipt as tlog_receipt
from macroslow.tlog.checkpoint import LogPublicKey

MAX_FILE_BYTES: Final = 64 * 1024 * 1024  # an answer with its outputs; a receipt is far below
MAX_DEPTH: Final = tlog_receipt.MAX_ANSWER_DEPTH
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group()
def receipt() -> None:
    """Proofs of single actions."""


@receipt.command()
@click.argument("receipt_file", metavar="RECEIPT", type=_FILE)
@click.option("--answer", type=_FILE, help="The answer that it is about: must be that very answer.")
@click.option("--document", type=_FILE, help="The document that it is about: must be those very bytes.")
@click.option("--key", "key_file", type=_FILE, help="The log's public key, from somebody you trust.")
@json_option
def verify(
    receipt_file: Path, answer: Path | None, document: Path | None, key_file: Path | None, *, as_json: bool
) -> int:
    """Check RECEIPT offline against the log's public key.

    RECEIPT is a receipt, or an answer of /execute that holds one. Exit code 0: proved; 1: forged or
    of something else; 2: cannot decide, as without a key.
    """
    if key_file is None:
        click.echo("cannot decide: without a pinned key anybody could have made this receipt", err=True)
        click.echo(
            "  fix: --key FILE, what `macroslow audit key` prints where the answer came from", err=True
        )
        return CANNOT_DECIDE
    given_answer = None if answer is None else read_whole(answer, MAX_FILE_BYTES)
    raw, held = _taken_out(read_whole(receipt_file, MAX_FILE_BYTES))
    try:
        key = LogPublicKey.parse(read_whole(key_file, MAX_FILE_BYTES).decode("utf-8", "replace"))
    except ValueError as error:
        raise click.UsageError(f"{key_file} is not a log's public key: {error}") from None
    # A receipt that came within an answer speaks for that one too, whatever else is brought.
    answers: list[bytes | None] = [one for one in (held, given_answer) if one is not None]
    brought = None if document is None else read_whole(document, MAX_FILE_BYTES)
    try:
        *_, verdict = [
            tlog_receipt.verify(raw, key, answer=one, document=brought) for one in answers or [None]
        ]
    except VerificationError as error:
        if as_json:
            emit({"verified": False, "detail": error.detail})
        else:
            click.echo(f"NOT PROVED: {error.detail}")
        return CHECKED_IS_BAD
    if as_json:
        emit({"verified": True, "key_fingerprint": key.fingerprint, **asdict(verdict)})
    else:
        _show(verdict, key)
    return 0


def _taken_out(raw: bytes) -> tuple[bytes, bytes | None]:
    """The receipt, and the answer around it if the file is an answer that holds its receipt."""
    try:
        value = strict_json.parse(raw, limit_bytes=MAX_FILE_BYTES, max_depth=MAX_DEPTH, floats=True)
    except ValueError:
        return raw, None  # verification says what is wrong with it
    match value:
        case {"receipt": dict() as receipt}:
            return json.dumps(receipt).encode(), raw
        case _:
            return raw, None


def _show(verdict: tlog_receipt.Verdict, key: LogPublicKey) -> None:
    said = verdict.statement
    click.echo(f"PROVED: {said['what']}, by {said['who']}, at {said['when']}")
    click.echo(f"  log        {verdict.origin}, entry {verdict.index} of {verdict.size}")
    click.echo(f"  key        {key.fingerprint}  (compare it with its owner)")
    click.echo(f"  strength   {verdict.proved} (Ed25519 and ML-DSA-44); not witnessed by a third party")
    details = said["details"]
    for name, checked in {"answer": verdict.checked_answer, "document": verdict.checked_document}.items():
        if isinstance(details, dict) and f"{name}_sha256" not in details:
            continue  # a model call has no document
        click.echo(
            f"  {name:<10} {'is the one that was logged' if checked else 'not checked: --' + name + ' FILE'}"
        )
