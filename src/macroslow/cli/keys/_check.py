"""`macroslow keys check`: what a leak scanner asks of a text that it found."""

import sys

import click

from macroslow.authn.api_keys import KEY_LENGTH, parse
from macroslow.cli.console.ask import STDIN
from macroslow.cli.console.errors import CHECKED_IS_BAD
from macroslow.cli.console.output import emit, json_option


@click.command()
@click.argument("source", metavar=STDIN)
@json_option
def check(source: str, as_json: bool) -> int:
    """Say whether what comes on stdin has the form of a key of ours; offline, without a gateway.

    The form says nothing about whether such a key was ever made. The answer does not hold the key.
    """
    if source != STDIN:
        raise click.UsageError("A key is read from stdin alone: write - and give it there.")
    parsed = parse(sys.stdin.read(KEY_LENGTH + 2).rstrip("\r\n"))
    if as_json:
        emit({"key": parsed is not None, "id": parsed.id if parsed else None})
    else:
        click.echo(f"A key of a gateway: its id is {parsed.id}." if parsed else "No key of a gateway.")
    return 0 if parsed else CHECKED_IS_BAD
