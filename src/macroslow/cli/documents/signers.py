"""`macroslow signers`: which signing key speaks for which origin."""

from pathlib import Path
from typing import Final

import click

from macroslow.cli._configured import config_option
from macroslow.cli._files import create
from macroslow.cli._operator import ask
from macroslow.cli.console.columns import columns
from macroslow.cli.console.output import emit, json_option
from macroslow.cli.documents._signer_keys import PRIVATE, PUBLIC, public_key
from macroslow.crypto.hybrid import HybridPrivateKey, KeyUse
from macroslow.errors import ConflictError

PRIVATE_MODE: Final = 0o600
PUBLIC_MODE: Final = 0o644


@click.group()
def signers() -> None:
    """Keys that sign documents. The gateway itself signs none."""


@signers.command()
@click.argument("name", type=click.Path(path_type=Path))
@json_option
def new(name: Path, as_json: bool) -> None:
    """Make a signing key: NAME.key (keep it secret) and NAME.pub.

    Ed25519 and ML-DSA-65 (FIPS 204) together. Needs no gateway.
    """
    from macroslow.adapters.system import SystemEntropy

    private = HybridPrivateKey.generate(KeyUse.DOCUMENT, SystemEntropy())
    secret, public = name.with_name(f"{name.name}{PRIVATE}"), name.with_name(f"{name.name}{PUBLIC}")
    _make(secret, private.to_json(), PRIVATE_MODE)
    _make(public, private.public.to_jwks() + "\n", PUBLIC_MODE)
    made = {"key": str(secret), "public": str(public), "key_id": private.key_id}
    if as_json:
        emit(made | {"fingerprint": private.public.fingerprint})
        return
    click.echo(f"{secret}  signs documents; keep it secret")
    click.echo(f"{public}  is what operators trust")
    click.echo(f"fingerprint {private.public.fingerprint}")


@signers.command()
@click.argument("public_file", metavar="FILE", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--origin", "origins", multiple=True, required=True, metavar="PATTERN", help="agent://NAME. Repeatable."
)
@click.option("--name", help="What to call it.  [default: the file's name]")
@config_option
@json_option
def trust(
    public_file: Path, origins: tuple[str, ...], name: str | None, *, config_file: Path | None, as_json: bool
) -> None:
    """Let the key in FILE (NAME.pub) speak for the origins."""
    trusted = ask(
        config_file,
        "signers.trust",
        name=name or public_file.stem,
        public_jwks=public_key(public_file).to_jwks(),
        origins=[*origins],
    )
    if as_json:
        emit(trusted)
    else:
        click.echo(f"{trusted['name']} ({trusted['fingerprint']}) speaks for {', '.join(trusted['origins'])}")


@signers.command(name="list")
@config_option
@json_option
def list_(config_file: Path | None, as_json: bool) -> None:
    """List trusted and revoked signers."""
    listed = ask(config_file, "signers.list")
    if as_json:
        emit(listed)
        return
    if not listed["signers"]:
        click.echo("No signer is trusted.")
        return
    rows = [{**one, "state": "revoked" if one["revoked_at"] else "trusted"} for one in listed["signers"]]
    columns(rows, {"name": "NAME", "state": "STATE", "origins": "SPEAKS FOR", "fingerprint": "FINGERPRINT"})


@signers.command()
@click.argument("name")
@config_option
@json_option
def revoke(name: str, config_file: Path | None, as_json: bool) -> None:
    """Stop trusting the signer NAME (or its key id)."""
    revoked = ask(config_file, "signers.revoke", name=name)
    if as_json:
        emit(revoked)
    else:
        click.echo(f"{revoked['name']} is not trusted any more; documents signed by it are refused.")


def _make(path: Path, text: str, mode: int) -> None:
    if not create(path, text, mode):
        raise ConflictError(f"{path} exists; nothing was overwritten", fix="choose another name")
