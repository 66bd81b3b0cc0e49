"""`macroslow usage`: what was spent, by whom and on what."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import click

from macroslow.cli._columns import columns, usd
from macroslow.cli._configured import config_option
from macroslow.cli._operator import ask
from macroslow.cli._output import emit, json_option

WATCH_S: Final = 1.0


@click.command()
@click.option(
    "--by", type=click.Choice(["key", "principal", "model", "tag", "day"]), default="key", show_default=True
)
@click.option("--watch", is_flag=True, help="Print again every second until Ctrl-C.")
@config_option
@json_option
def usage(by: str, *, watch: bool, config_file: Path | None, as_json: bool) -> None:
    """Show calls, tokens and money; for keys also what is held and left."""
    while True:
        report = ask(config_file, "usage", by=by)
        if as_json:
            emit(report)
        else:
            if watch:
                click.clear()
            _print(by, report)
        if not watch:
            return
        time.sleep(WATCH_S)


def _print(by: str, report: Mapping[str, Any]) -> None:
    rows = [_row(by, row) for row in report["rows"]]
    if not rows:
        click.echo("Nothing was spent yet.")
        return
    titles = {"key": by.upper(), "calls": "CALLS", "input_tokens": "TOKENS IN", "output_tokens": "TOKENS OUT"}
    titles["spent"] = "SPENT"
    if by == "key":
        titles |= {"held": "HELD", "left": "LEFT"}
    columns(rows, titles)
    click.echo(f"{usd(sum(row['usd_micros'] for row in report['rows']))} in all")


def _row(by: str, row: Mapping[str, Any]) -> dict[str, object]:
    shown: dict[str, object] = {**row, "key": row["key"] or "-", "spent": usd(row["usd_micros"])}
    if by == "key":
        shown["held"] = usd(row["held_usd_micros"])
        limit = row["limit_usd_micros"]
        left = None if limit is None else max(0, limit - row["usd_micros"] - row["held_usd_micros"])
        shown["left"] = usd(left)
    return shown
