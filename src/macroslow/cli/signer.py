"""`macroslow signer`: what signs, as a user of its own, for the gateway of another user.

It prints one line when it listens, and ends with SIGTERM or Ctrl-C. It reads no configuration: what it trusts
is on its command line.
"""

import os
import pwd
import signal
import sys
from pathlib import Path

import click

from macroslow.bootstrap.signing.main import serve_other_user
from macroslow.cli.console.logging import log_to_stderr
from macroslow.errors import ConfigurationError

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
    log_to_stderr("info", "text")
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(0))
    listening = listen.absolute()

    def announce() -> None:
        click.echo(f"the signer listens at {listening}")

    serve_other_user(keys.absolute(), marks.absolute(), listening, uid, announce)


def _uid(name: str) -> int:
    try:
        return int(name) if name.isdigit() else pwd.getpwnam(name).pw_uid
    except KeyError:
        raise ConfigurationError(f"no user is called {name!r}", fix="name the gateway's user") from None
