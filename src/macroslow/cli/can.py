"""`macroslow can`: why somebody may do something here, or may not."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from macroslow.authn.api_keys import id_of
from macroslow.cli._ask import STDIN
from macroslow.cli._configured import config_option
from macroslow.cli._credential import read_credential
from macroslow.cli._errors import CHECKED_IS_BAD
from macroslow.cli._issuers import ask_of_issuers, every
from macroslow.cli._operator import ask
from macroslow.cli._output import emit, json_option


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
    are those that a request meets. Exit code 0: some key of PRINCIPAL, or the token, may; 1: none may.
    """
    token = read_credential(principal) if principal == STDIN else ""
    key_id = id_of(token)
    if token and not key_id:
        arguments = {"token": token, "action": action, "uri": uri}
        _, found = ask_of_issuers(config_file, "authz.can_token", every, **arguments)
        told = [(f"token of {found['principal'] or 'nobody'}", found)]
    else:
        found = ask(config_file, "authz.can", principal=key_id or principal, action=action, uri=uri)
        told = [(f"key {key['key_id']} of {key['principal']}", key) for key in found["keys"]]
    if as_json:
        emit(found)
    else:
        for who, decided in told:
            _print(who, decided)
    return 0 if found["allowed"] else CHECKED_IS_BAD


def _print(who: str, decided: Mapping[str, Any]) -> None:
    click.echo(f"{who}: {'yes' if decided['allowed'] else 'no'}")
    for step in decided["steps"]:
        click.echo(f"  {'+' if step['allowed'] else '-'} {step['reason']}")
        if step["fix"]:
            click.echo(f"    fix: {step['fix']}")
