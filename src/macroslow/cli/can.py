"""`macroslow can`: why somebody may do something here, or may not."""

from pathlib import Path

import click

from macroslow.cli._configured import config_option
from macroslow.cli._errors import CHECKED_IS_BAD
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

    PRINCIPAL is a name or a key's id; ACTION is a scope, such as documents:execute; URI is what a document
    would ask for, such as api://openai. The decisions are those that a request meets. Exit code 0: some
    key of PRINCIPAL may; 1: none may.
    """
    found = ask(config_file, "authz.can", principal=principal, action=action, uri=uri)
    if as_json:
        emit(found)
    else:
        for key in found["keys"]:
            click.echo(f"key {key['key_id']} of {key['principal']}: {'yes' if key['allowed'] else 'no'}")
            for step in key["steps"]:
                click.echo(f"  {'+' if step['allowed'] else '-'} {step['reason']}")
    return 0 if found["allowed"] else CHECKED_IS_BAD
