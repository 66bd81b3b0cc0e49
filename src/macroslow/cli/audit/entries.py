"""`macroslow audit tail`, `show` and `prove`: entries, and the proof of one."""

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import click

from macroslow.cli._configured import config_option
from macroslow.cli._operator import ask
from macroslow.cli.audit._entry_lines import print_entries
from macroslow.cli.console.output import emit, json_option
from macroslow.cli.console.terminal import one_line
from macroslow.cli.console.typed import Number

FOLLOW_S: Final = 0.5


@click.command()
@click.option("-n", "--lines", "count", default=20, show_default=True, type=Number(0, 1000))
@click.option("-f", "--follow", is_flag=True, help="Go on until Ctrl-C.")
@click.option("--wide", is_flag=True, help="Whole lines, also where they are longer than the terminal's.")
@config_option
@json_option
def tail(count: int, *, follow: bool, wide: bool, config_file: Path | None, as_json: bool) -> None:
    """Show the newest entries, cut to the width of the terminal; "audit show NUMBER" has all of one."""
    shown = ask(config_file, "audit.tail", count=count)
    _print(shown, as_json=as_json, wide=wide)
    while follow:
        time.sleep(FOLLOW_S)
        at = shown["size"]
        shown = ask(config_file, "audit.tail", start=at, count=1000)
        if shown["entries"]:
            _print(shown, as_json=as_json, wide=wide)


@click.command()
@click.argument("index", type=Number(0))
@config_option
@json_option
def show(index: int, config_file: Path | None, as_json: bool) -> None:
    """Show one entry whole."""
    entry = ask(config_file, "audit.show", index=index)
    if as_json:
        emit(entry)
    else:
        for line in json.dumps(entry, indent=2, ensure_ascii=False).split("\n"):
            click.echo(one_line(line))


@click.command()
@click.argument("index", type=Number(0))
@config_option
def prove(index: int, config_file: Path | None) -> None:
    """Print the receipt of one entry."""
    emit(ask(config_file, "audit.prove", index=index))


def _print(shown: Mapping[str, Any], *, as_json: bool, wide: bool) -> None:
    if as_json:
        emit(shown)
    else:
        print_entries(shown["entries"], wide=wide)
