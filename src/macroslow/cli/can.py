"""`macroslow can`: why somebody may do something here, or may not."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from macroslow.authn.api_keys import id_of
from macroslow.cli._configured import config_option
from macroslow.cli._credential import ask_of_issuers, every, read_credential
from macroslow.cli._operator import ask
from macroslow.cli.console.ask import STDIN
from macroslow.cli.console.errors import CHECKED_IS_BAD
from macroslow.cli.console.output import emit, json_option


@click.command()
@click.argument("principal")
@click.argument("action")
@click.argument("uri", default="")
@config_option
@json_option
def can(principal: str, action: str, uri: str, *, config_file: Path | None, as_json: bool) -> int:
    """Say whether PRINCIPAL may do ACTION, and why.

    PRINCIPAL is a name, a key's id, or - for the key or the token that comes on stdin; ACTION is a scope,
    such as documents:execute; URI is what a document would ask for, such as api://openai. The decisions
    are those that a request meets; a key's secret is looked at only where the key itself comes. Exit code
    0: some key of PRINCIPAL, or the token, may; 1: none may.
    """
    asked = {"action": action, "uri": uri}
    credential = read_credential(principal) if principal == STDIN else ""
    if not credential:
        found = ask(config_file, "authz.can", principal=principal, **asked)
    elif id_of(credential):
        found = ask(config_file, "authz.can_key", key=credential, **asked)
    else:
        _, found = ask_of_issuers(config_file, "authz.can_token", every, token=credential, **asked)
    if as_json:
        emit(found)
    else:
        for decided in found.get("keys", [found]):
            _print(decided)
    return 0 if found["allowed"] else CHECKED_IS_BAD


def _print(decided: Mapping[str, Any]) -> None:
    key_id, principal = decided.get("key_id"), decided["principal"] or "nobody"
    who = f"key {key_id} of {principal}" if key_id else f"token of {principal}"
    click.echo(f"{who}: {'yes' if decided['allowed'] else 'no'}")
    for step in decided["steps"]:
        click.echo(f"  {'+' if step['allowed'] else '-'} {step['reason']}")
        if step["fix"]:
            click.echo(f"    fix: {step['fix']}")
