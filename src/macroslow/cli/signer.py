"""`macroslow signer`: what signs, as a user of its own, for the gateway of another user.

It prints one line when it listens, and ends with SIGTERM or Ctrl-C. It reads no configuration: what it trusts
is on its command line.
"""

import os
import pwd
import signal
import sys
from itertools import permutations
from pathlib import Path
from typing import Final

import click

from macroslow.bootstrap.signing.main import serve_other_user
from macroslow.cli.console.logging import log_to_stderr
from macroslow.errors import ConfigurationError

_EXAMPLES: Final = {
    "--keys": "/var/lib/macroslow-signer/keys",
    "--marks": "/var/lib/macroslow-signer/marks",
    "--listen": "/run/macroslow-signer/signer.sock",
}
_FOLDER = click.Path(file_okay=False, path_type=Path)


@click.command()
@click.option("--keys", required=True, type=_FOLDER, help="The keys that sign; made for the first gateway.")
@click.option("--marks", required=True, type=_FOLDER, help="What was signed last; not for backups.")
@click.option("--listen", required=True, type=click.Path(path_type=Path), metavar="SOCKET", help="Where to.")
@click.option("--allow-user", required=True, metavar="NAME", help="The gateway's user; nobody else is heard.")
def signer(keys: Path, marks: Path, listen: Path, allow_user: str) -> None:
    """Sign the log and its statements for a gateway that runs as another user.

    The gateway finds it by `[log] signer = "unix:SOCKET"`. One gateway is served at a time.
    """
    uid = _uid(allow_user)
    if uid == os.geteuid():
        raise ConfigurationError(
            "the signer runs as the gateway's own user, and would keep nothing from it",
            fix="run it as another user; without [log] signer each gateway has a signer of its own",
        )
    _check_places(keys, marks, listen)
    log_to_stderr("info", "text")
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: sys.exit(0))

    def announce() -> None:
        click.echo(f"the signer listens at {listen}")

    serve_other_user(keys, marks, listen, uid, announce)


def _check_places(keys: Path, marks: Path, listen: Path) -> None:
    """Return if the three lie apart; ConfigurationError else, and for a path that depends on where we are."""
    named = {"--keys": keys, "--marks": marks, "--listen": listen}
    for option, path in named.items():
        if not path.is_absolute():
            raise ConfigurationError(
                f"{option} {path} is no path from / on", fix=f"write for example {option} {_EXAMPLES[option]}"
            )
    for (option, path), (other, folder) in permutations(named.items(), 2):
        if path.resolve().is_relative_to(folder.resolve()):
            raise ConfigurationError(
                f"{option} {path} lies in {other} {folder}",
                fix="name a folder for each, none within another: keys are backed up, marks are not",
            )


def _uid(name: str) -> int:
    try:
        return int(name) if name.isdigit() else pwd.getpwnam(name).pw_uid
    except KeyError:
        raise ConfigurationError(f"no user is called {name!r}", fix="name the gateway's user") from None
