"""`macroslow usage`: what was spent, by whom and on what, and what is left of every budget."""

import csv
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import click

from macroslow.cli._configured import config_option
from macroslow.cli._operator import ask
from macroslow.cli.console.columns import columns, day_and_time, usd
from macroslow.cli.console.output import emit, json_option
from macroslow.cli.reconcile import reconcile
from macroslow.metering import money
from macroslow.metering.ledger import USAGE_GROUPS

WATCH_S: Final = 1.0
DAY_FORMAT: Final = "2026-01-31"
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


@click.group(invoke_without_command=True)
@click.option("--by", type=click.Choice(USAGE_GROUPS), help="What to add up by.  [default: key]")
@click.option("--from", "first_day", default="", metavar="DAY", help=f"First day (UTC), as {DAY_FORMAT}.")
@click.option("--to", "last_day", default="", metavar="DAY", help="Last day, inclusive.")
@click.option("--budgets", is_flag=True, help="Show every budget instead: limit, spent, held, left.")
@click.option("--csv", "as_csv", is_flag=True, help="Print comma-separated values.")
@click.option("--watch", is_flag=True, help="Print again every second until Ctrl-C.")
@config_option
@json_option
@click.pass_context
def usage(
    context: click.Context,
    by: str | None,
    first_day: str,
    last_day: str,
    *,
    budgets: bool,
    as_csv: bool,
    watch: bool,
    config_file: Path | None,
    as_json: bool,
) -> None:
    """Show calls, tokens and money; for keys also what is held and left."""
    if context.invoked_subcommand is not None:
        return
    if as_csv and (as_json or watch):
        raise click.UsageError("--csv is printed alone and once.")
    if budgets and (by or first_day or last_day):
        raise click.UsageError(
            "--budgets shows every budget in its present period: leave --by, --from, --to away."
        )
    while True:
        if budgets:
            report = ask(config_file, "usage.budgets")
        else:
            report = ask(config_file, "usage", by=by or "key", first_day=first_day, last_day=last_day)
        if as_json:
            emit(report)
        else:
            if watch:
                click.clear()
            _print(report, as_csv=as_csv)
        if not watch:
            return
        time.sleep(WATCH_S)


usage.add_command(reconcile)


def _print(report: Mapping[str, Any], *, as_csv: bool) -> None:
    rows = report["budgets"] if "budgets" in report else report["rows"]
    if as_csv:
        _print_csv(rows)
    elif "budgets" in report:
        _print_budgets(rows)
    else:
        _print_rows(report["by"], rows)


def _print_rows(by: str, rows: Sequence[Mapping[str, Any]]) -> None:
    if not rows:
        click.echo("Nothing was spent yet.")
        return
    titles = {by: by.upper()}
    if by == "key":
        titles["principal"] = "PRINCIPAL"
    titles |= {"calls": "CALLS", "input_tokens": "TOKENS IN", "output_tokens": "TOKENS OUT", "spent": "SPENT"}
    if by == "key":
        titles |= {"held": "HELD", "left": "LEFT"}
    columns([_row(by, row) for row in rows], titles)
    click.echo(f"{usd(sum(row['usd_micros'] for row in rows))} in all")


def _row(by: str, row: Mapping[str, Any]) -> dict[str, object]:
    shown: dict[str, object] = {**row, by: row[by] or "-", "spent": usd(row["usd_micros"])}
    if by == "key":
        shown["held"] = usd(row["held_usd_micros"])
        limit = row["budget_usd_micros"]
        left = None if limit is None else max(0, limit - row["usd_micros"] - row["held_usd_micros"])
        shown["left"] = usd(left)
    return shown


def _print_budgets(rows: Sequence[Mapping[str, Any]]) -> None:
    if not rows:
        click.echo("No budget is in use.")
        return
    amounts = ("limit", "spent", "held", "left")
    shown = [
        {
            "budget": row["budget"],
            **{name: usd(row[f"{name}_usd_micros"]) for name in amounts},
            "resets": day_and_time(row["resets_at"]),
        }
        for row in rows
    ]
    columns(shown, {"budget": "BUDGET", **{name: name.upper() for name in amounts}, "resets": "RESETS (UTC)"})


def _print_csv(rows: Sequence[Mapping[str, Any]]) -> None:
    """RFC 4180, amounts in dollars with all their digits."""
    writer = csv.writer(sys.stdout)
    for number, row in enumerate(rows):
        if number == 0:
            writer.writerow(name.removesuffix("_micros") for name in row)
        writer.writerow(_cell(name, value) for name, value in row.items())


def _cell(name: str, value: object) -> object:
    if name.endswith("usd_micros") and isinstance(value, int):
        return money.usd(value)
    if isinstance(value, str) and value.startswith(_FORMULA):
        return f"'{value}"  # a tag is the client's text, and a spreadsheet would run it
    return "" if value is None else value
