"""A credential that a command asks about: on stdin alone, so that no list of processes or history has it."""

import sys
from typing import Final

import click

from macroslow.authn.jwt.token import MAX_TOKEN_BYTES
from macroslow.cli.console.ask import STDIN

_SCHEME: Final = "bearer "


def read_credential(source: str) -> str:
    """What comes on stdin, without the name of its scheme. UsageError if `source` is anything but `-`."""
    if source != STDIN:
        raise click.UsageError("A token is read from stdin alone: write - and give it there.")
    text = sys.stdin.read(2 * MAX_TOKEN_BYTES).strip()
    if text[: len(_SCHEME)].lower() == _SCHEME:
        text = text[len(_SCHEME) :].strip()
    if not text:
        raise click.UsageError("Nothing came on stdin.")
    return text
