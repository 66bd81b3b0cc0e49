"""`macroslow audit erase`: what would go, a question, and then it is gone."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from macroslow.cli._configured import config_option
from macroslow.cli._operator import ask
from macroslow.cli.console.ask import at_terminal
from macroslow.cli.console.counted import counted
from macroslow.cli.console.errors import CANNOT_DECIDE
from macroslow.cli.console.output import emit, json_option


@click.command()
@click.option("--subject", required=True, help="Whose name it is, as the log's entries have it.")
@click.option("--reason", default="", help="Kept in the log. It may not name the person.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@config_option
@json_option
def erase(subject: str, reason: str, *, yes: bool, config_file: Path | None, as_json: bool) -> int:
    """Erase a person from the log: destroy the keys to what it holds of them, and the ciphertext.

    Calls and runs go at once. What must be kept about keys and refusals is held, and goes by itself when
    [log.hold_days] says so. The log stays as provable as it was, and an entry of it tells what went.
    """
    if not yes:
        plan = ask(config_file, "audit.erasable", subject=subject)
        click.echo(f"{subject} would be erased, which nobody can undo:", err=True)
        _show(plan, err=True)
        if not at_terminal():
            raise click.UsageError("Nobody is here to be asked: --yes erases without a question.")
        if not click.confirm("Erase?", err=True):
            click.echo("nothing was erased", err=True)
            return CANNOT_DECIDE
    erased = ask(config_file, "audit.erase", subject=subject, reason=reason)
    if as_json:
        emit(erased)
        return 0
    click.echo(f"{subject} is erased: entry {erased['index']} says what went.")
    _show(erased, err=False)
    click.echo(f"  pseudonym  {erased['pseudonym']}  (for the person's file: erased rows bear it in the end)")
    return 0


def _show(plan: Mapping[str, Any], *, err: bool) -> None:
    click.echo(f"  gone       {_listed(plan['by_type'])}", err=err)
    if plan["held_until"] is not None:
        click.echo(f"  held       {_listed(plan['held'])}, until {plan['held_until'][:10]}", err=err)


def _listed(by_type: Mapping[str, int]) -> str:
    entries = sum(by_type.values())
    kinds = ", ".join(f"{kind} {count}" for kind, count in by_type.items())
    return f"{counted(entries)}{f': {kinds}' if kinds else ''}"
