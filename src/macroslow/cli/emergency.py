"""`macroslow emergency`: what is done when there is no time to look which."""

from pathlib import Path

import click

from macroslow.cli._configured import config_option
from macroslow.cli._operator import ask
from macroslow.cli.console.ask import at_terminal
from macroslow.cli.console.output import emit, json_option


@click.group()
def emergency() -> None:
    """When there is no time to look which."""


@emergency.command(name="revoke-all")
@click.option("--reason", required=True, help="Kept in the log, with every key.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@config_option
@json_option
def revoke_all(*, reason: str, yes: bool, config_file: Path | None, as_json: bool) -> None:
    """Revoke every client key and token at once, and end what they have under way.

    No revocation is undone: each client needs a new key, or a new token of its issuer, afterwards.
    """
    if not yes:
        _confirm(config_file)
    revoked = {
        **ask(config_file, "keys.revoke_all", reason=reason),
        "tokens_of": [one["issuer"] for one in ask(config_file, "jwt.revoke_all", reason=reason)["revoked"]],
    }
    if as_json:
        emit(revoked)
    else:
        click.echo(f"{len(revoked['revoked'])} keys are revoked. A new one: macroslow keys create NAME")
        for issuer in revoked["tokens_of"]:
            click.echo(f"All tokens that {issuer} issued until now are revoked.")


def _confirm(config_file: Path | None) -> None:
    if not at_terminal():
        raise click.UsageError("Nobody can be asked here: say --yes.")
    keys = ask(config_file, "keys.list")["keys"]
    count = sum(key["state"] != "revoked" for key in keys)
    click.confirm(f"Revoke all {count} client keys, for good?", abort=True, err=True)
