"""Questions about a credential to a running gateway, which may be older than the configuration.

The credential comes on stdin alone, so that no list of processes and no history of a shell has it.
"""

import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import click

from macroslow.authn.jwt.token import MAX_TOKEN_BYTES
from macroslow.cli._configured import settings_of
from macroslow.cli._operator import ask_with
from macroslow.cli.console.ask import STDIN
from macroslow.control import RemoteError
from macroslow.errors import ConfigurationError, NotFoundError, Problem
from macroslow.settings import Settings
from macroslow.settings.issuers.auth import Issuer

RESTART: Final = "end the gateway (Ctrl-C) and start it again: macroslow serve"
_UNKNOWN_ISSUER: Final = frozenset({ConfigurationError.code, NotFoundError.code})
_SCHEME: Final = "bearer "

Concerns = Callable[[str, Issuer], bool]
"""Whether a question is about the issuer of this name."""


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


def every(_name: str, _issuer: Issuer) -> bool:
    """Any of them would do."""
    return True


def ask_of_issuers(
    config_file: Path | None, verb: str, concerns: Concerns, **arguments: object
) -> tuple[Settings, Mapping[str, Any]]:
    """The settings as they are written, and the answer.

    ConfigurationError where the running gateway knows none of the issuers in question, and the
    configuration has one.
    """
    settings = settings_of(config_file)
    try:
        return settings, ask_with(settings, verb, **arguments)
    except RemoteError as error:
        written = [name for name, issuer in settings.auth.issuers.items() if concerns(name, issuer)]
        if error.remote_code not in _UNKNOWN_ISSUER or not written:
            raise
        said = Problem(error.detail, field="the running gateway")  # its fix is done already: it is written
        raise ConfigurationError(unknown_to_it(written), [said], fix=RESTART) from None


def unknown_to_it(issuers: Iterable[str]) -> str:
    """What is the matter where the running gateway does not know issuers that are configured."""
    tables = ", ".join(f"[auth.issuers.{name}]" for name in issuers)
    return f"the running gateway does not know {tables}: it was started before that was written"
