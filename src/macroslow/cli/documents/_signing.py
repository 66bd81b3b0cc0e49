"""`macroslow maml sign` and `verify`: the author's part. The gateway signs no document."""

from datetime import timedelta
from pathlib import Path

import click

from macroslow.cli._files import write_over
from macroslow.cli.console.errors import CANNOT_DECIDE, CHECKED_IS_BAD
from macroslow.cli.console.output import emit, json_option
from macroslow.cli.console.typed import Number
from macroslow.cli.documents._signer_keys import private_key, public_key
from macroslow.crypto import documents
from macroslow.errors import ConflictError, InvalidDocumentError
from macroslow.maml.parse import parse
from macroslow.ports import NS_PER_S

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@click.argument("file", type=_FILE)
@click.option("--key", "key_file", type=_FILE, required=True, help="NAME.key, from `macroslow signers new`.")
@click.option("--replace", is_flag=True, help="Sign anew a document that is signed already.")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="Write there, not into FILE.")
@click.option("--days", type=Number(1, 3650), help="How long the signature is good.  [default: for ever]")
@json_option
def sign(
    file: Path, key_file: Path, output: Path | None, days: int | None, *, replace: bool, as_json: bool
) -> None:
    """Sign the document FILE: Ed25519 and ML-DSA-65 over its exact bytes, appended as one line.

    A document with problems is not signed. The text above the signature stays byte for byte.
    """
    from macroslow.adapters.system import SystemClock

    raw = file.read_bytes()
    unsigned, signature = documents.split(raw)
    if signature is not None and not replace:
        raise ConflictError(f"{file} is signed already", fix="add --replace to sign it anew with your key")
    try:
        parsed = parse(unsigned)
    except InvalidDocumentError as error:
        raise InvalidDocumentError(
            "the document has problems: it was not signed",
            error.problems,
            fix=f"macroslow maml validate {file}",
        ) from None
    key = private_key(key_file)
    now_ns = SystemClock().now_ns()
    expires_ns = None if days is None else now_ns + int(timedelta(days=days).total_seconds()) * NS_PER_S
    target = output or file
    write_over(target, documents.sign(unsigned, key, issued_ns=now_ns, expires_ns=expires_ns))
    if as_json:
        emit({"file": str(target), "key_id": key.key_id, "origin": parsed.front.origin})
    else:
        click.echo(f"{target} is signed for {parsed.front.origin} by {key.public.fingerprint}")


@click.command()
@click.argument("file", type=_FILE)
@click.option("--key", "key_file", type=_FILE, help="The signer's NAME.pub.")
@json_option
def verify(file: Path, key_file: Path | None, *, as_json: bool) -> int:
    """Check the signature of FILE against the signer's public key.

    Exit code 0: signed by that key, unaltered; 1: not; 2: cannot decide, as without a key.
    """
    from macroslow.adapters.system import SystemClock

    if key_file is None:
        click.echo("cannot decide: without the signer's key anybody could have signed", err=True)
        click.echo("  fix: --key NAME.pub", err=True)
        return CANNOT_DECIDE
    key = public_key(key_file)
    signed, signature = documents.split(file.read_bytes())
    if signature is None:
        click.echo(f"{file} is not signed")
        return CHECKED_IS_BAD
    keys = {key.key_id: key}
    facts = documents.verify(signed, signature, keys.get, now_ns=SystemClock().now_ns())
    if as_json:
        emit({"verified": True, "key_id": facts.key_id, "fingerprint": key.fingerprint})
    else:
        click.echo(f"VERIFIED: {file} is unaltered and signed by {key.fingerprint} (Ed25519 and ML-DSA-65)")
    return 0
