"""`macroslow audit key`, `rotate-key` and `fork`: what signs the log, its successor, and a new beginning."""

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from macroslow.cli._configured import config_option, settings_of
from macroslow.cli._operator import ask
from macroslow.cli.console.ask import at_terminal
from macroslow.cli.console.errors import CANNOT_DECIDE
from macroslow.cli.console.output import emit, json_option
from macroslow.errors import ConflictError
from macroslow.services.verbs import MAX_REASON_CHARACTERS

if TYPE_CHECKING:
    from macroslow.services.signing.declare_fork import ForkPlan


def _checked(_context: click.Context, _parameter: click.Parameter, reason: str) -> str:
    if not 1 <= len(reason) <= MAX_REASON_CHARACTERS:
        raise click.BadParameter(f"a reason has 1 to {MAX_REASON_CHARACTERS} characters.")
    return reason


_MEANING = (
    "keys       whoever pinned the old one, and each witness, must be told the new one, by your word alone",
    "receipts   those that were given out stay good under the old key",
    "copies     of the state folder as it was are refused at a start: they sign no more",
)

_REASON = click.option(
    "--reason", required=True, metavar="TEXT", callback=_checked, help="Why; the log keeps it for ever."
)


@click.command()
@click.option("--succession", is_flag=True, help="Instead, the hand-overs that lead here from older keys.")
@config_option
@json_option
def key(succession: bool, config_file: Path | None, as_json: bool) -> None:
    """Print the log's public key, to be given to whoever shall verify.

    With --succession, who pinned an older key of this log can follow its hand-overs to this one, and needs to
    believe nobody else.
    """
    told = ask(config_file, "audit.succession" if succession else "audit.key")
    if as_json:
        emit(told)
    elif succession:
        click.echo(json.dumps([json.loads(one) for one in told["hand_overs"]]))
    else:
        click.echo(told["key"], nl=False)


@click.command("rotate-key")
@_REASON
@config_option
@json_option
def rotate_key(reason: str, config_file: Path | None, as_json: bool) -> None:
    """Give the log another key, named and signed by the old one, which is destroyed.

    Receipts that were given out keep verifying under the old key, and `audit key --succession` leads whoever
    pinned it to the new one.
    """
    told = ask(config_file, "audit.rotate_key", reason=reason)
    if as_json:
        emit(told)
        return
    click.echo(f"the log's key is {told['fingerprint']} from now on; before it was {told['old']}")
    click.echo(
        "  give out: macroslow audit key, and for who pinned the old one: macroslow audit key --succession"
    )


@click.command()
@_REASON
@click.option("--origin", metavar="NAME", help="The new log's name; by default the old one with .2, .3 …")
@click.option("--yes", is_flag=True, help="Do not ask, and declare it of a log that could go on, too.")
@config_option
@json_option
def fork(reason: str, origin: str | None, *, yes: bool, config_file: Path | None, as_json: bool) -> int:
    """Declare that the log was forked, and begin one of another name over the entries that there are.

    For a log that a start refuses because it is not the one that was signed, where there is no newer backup.
    No server may run. Its first entry tells what there was, what had been signed, and why. Whoever pinned the
    log's key, and each of its witnesses, must be told the new one.
    """
    from macroslow.bootstrap.state.forking import declare_fork, plan_fork  # here: the other two find a server

    settings = settings_of(config_file)
    if not yes and not _agreed(asyncio.run(plan_fork(settings, origin))):
        click.echo("nothing was declared", err=True)
        return CANNOT_DECIDE
    new = asyncio.run(declare_fork(settings, reason, origin))
    if as_json:
        emit({"origin": new.origin, "key": new.format(), "fingerprint": new.fingerprint})
        return 0
    click.echo(f"the log is {new.origin} from now on, under the key {new.fingerprint}")
    click.echo("  whoever pinned the old key pins the new one by your word: macroslow audit key")
    if settings.log.origin is not None:
        click.echo(f'  write [log] origin = "{new.origin}" into the configuration, or remove it')
    return 0


def _agreed(plan: "ForkPlan") -> bool:
    """Whether the person who was shown the plan wants it. ConflictError where there is nothing to declare."""
    if not plan.trouble:
        raise ConflictError(
            f"the log is the one that was signed, {plan.entries} entries: nothing to declare is known here",
            fix="leave it as it is; another key of the same log: macroslow audit rotate-key. --yes begins"
            " another log all the same, as where a witness or a kept checkpoint knows of more entries",
        )
    click.echo(f"macroslow: {plan.trouble}", err=True)
    click.echo(f"Another log, {plan.origin}, would begin over {plan.entries} entries, for good:", err=True)
    for line in _MEANING:
        click.echo(f"  {line}", err=True)
    click.echo(f"  old key    {plan.old.fingerprint}", err=True)
    if not at_terminal():
        raise click.UsageError("Nobody is here to be asked: --yes declares it without a question.")
    return click.confirm("Declare it?", err=True)
