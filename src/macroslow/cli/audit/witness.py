"""`macroslow audit policy` and `witnesses`: who vouches for the log, and whether they do."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from macroslow.cli._configured import config_option
from macroslow.cli._operator import ask
from macroslow.cli.console.columns import day_and_second
from macroslow.cli.console.counted import counted
from macroslow.cli.console.output import emit, json_option
from macroslow.cli.console.terminal import one_line


@click.command()
@config_option
@json_option
def policy(config_file: Path | None, *, as_json: bool) -> None:
    """Print the log's policy (C2SP tlog-policy), to be given to whoever shall verify.

    "receipt verify --policy FILE" asks that so many of these witnesses cosigned.
    """
    told = ask(config_file, "audit.policy")
    if as_json:
        emit(told)
    else:
        click.echo(told["policy"], nl=False)


@click.command()
@config_option
@json_option
def witnesses(config_file: Path | None, *, as_json: bool) -> None:
    """Show what each witness cosigned last, and what is wrong with it.

    Without a server that runs nobody is asked: then it is what the newest stored checkpoint says.
    """
    told = ask(config_file, "audit.witnesses")
    if as_json:
        emit(told)
        return
    click.echo(f"{counted(told['entries'])}; needed: {told['needed']}")
    for one in told["witnesses"]:
        click.echo(one_line(_line(one)))


def _line(one: Mapping[str, Any]) -> str:
    if one["cosigned_at"] is None and not one["error"]:
        return f"  {one['name']:<16} was not asked yet: a gateway that serves asks it"
    if one["cosigned_at"] is None:
        last = "cosigned nothing yet"
    else:
        last = f"cosigned {counted(one['cosigned_entries'])}, {day_and_second(one['cosigned_at'])}"
    return f"  {one['name']:<16} {last}" + (f"; now {one['error']}" if one["error"] else "")
