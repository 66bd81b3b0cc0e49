"""Secrets come in without echo or on stdin, and never from argv, where every process can read them."""

import getpass
import sys
from typing import Final

import click

from macroslow.secretstore.placeholder import fault
from macroslow.secretstore.secret import Secret

STDIN: Final = "-"
MAX_CHARACTERS: Final = 16 * 1024
_ATTEMPTS: Final = 3


def from_stdin() -> Secret:
    """Read one secret from stdin; a final line end is not part of it. UsageError if it cannot be one."""
    text = sys.stdin.read(MAX_CHARACTERS + 1).removesuffix("\n").removesuffix("\r")
    if reason := "is too long" if len(text) > MAX_CHARACTERS else fault(text):
        raise click.UsageError(f"What came on stdin {reason}.")
    return Secret(text)


def without_echo(prompt: str) -> Secret | None:
    """Ask at the terminal until the answer could be a secret; None for an empty answer."""
    for _ in range(_ATTEMPTS):
        text = getpass.getpass(prompt).strip()
        reason = fault(text)
        if not text or not reason:
            return Secret(text) if text else None
        click.echo(f"That {reason}.", err=True)
    raise click.UsageError("No usable secret was given.")


def at_terminal() -> bool:
    """Whether a person can be asked."""
    return sys.stdin.isatty() and sys.stderr.isatty()
