"""`macroslow audit search`: entries of somebody, of a type, a time or a request, or with words in them."""

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import click

from macroslow.cli._configured import config_option
from macroslow.cli._operator import ask
from macroslow.cli.audit._entry_lines import print_entries
from macroslow.cli.console.counted import counted
from macroslow.cli.console.output import emit, json_option
from macroslow.cli.console.typed import Number, Past

PAGE: Final = 1_000  # entries that the gateway returns at once, at most
ALL: Final = "all"


class _Count(Number):
    """A number of 1 or more, or the word for all."""

    name = f"N|{ALL}"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        return sys.maxsize if value == ALL else super().convert(value, param, ctx)


@click.command()
@click.option("--subject", "--principal", "subject", help="Entries of this person's, and shared ones.")
@click.option("--type", "types", multiple=True, help="Entries of this type: key-created, … Repeatable.")
@click.option("--from", "from_ns", type=Past(), help="Not older: 2h or 7d ago, or a date of UTC.")
@click.option("--to", "until_ns", type=Past(), help="Before this moment, likewise.")
@click.option("--request", "request_id", help="Entries about the request with this id.")
@click.option("--text", help="Entries in which all of these words occur, in any case of letters.")
@click.option("--start", default=0, type=Number(0), help="The first entry to look at.")
@click.option(
    "-n",
    "--lines",
    "count",
    default=100,
    show_default=True,
    type=_Count(1),
    help=f"How many at most; {ALL}: every one.",
)
@click.option("--wide", is_flag=True, help="Whole lines, also where they are longer than the terminal's.")
@config_option
@json_option
def search(
    start: int, count: int, *, wide: bool, config_file: Path | None, as_json: bool, **wanted: object
) -> None:
    """Find entries that are all of what is asked for, oldest first.

    What was erased can be found by its subject, type and time alone. Where there is more than --lines, stderr
    says so, with the entry to go on from, and so does `next` of --json.
    """
    entries: list[object] = []
    found: Mapping[str, Any] = {}
    for found in _pages(config_file, start, count, _given(wanted)):
        if as_json:
            entries += found["entries"]
        else:
            print_entries(found["entries"], wide=wide)
            entries += [None] * len(found["entries"])
    if as_json:
        emit({**found, "entries": entries})
    if found["next"] is not None:
        go_on = f"go on with --start {found['next']}, or -n {ALL}"
        click.echo(f"more to look through: {counted(len(entries))} shown; {go_on}", err=True)
    elif not entries and not as_json:
        click.echo(f"nothing found{_where(start, found['size'])}", err=True)


def _pages(
    config_file: Path | None, start: int, count: int, wanted: Mapping[str, object]
) -> Iterator[Mapping[str, Any]]:
    """Pages of at most PAGE entries, `count` in all, so that no more than one is in memory."""
    at: int | None = start
    while at is not None and count:
        found = ask(config_file, "audit.search", start=at, count=min(count, PAGE), **wanted)
        yield found
        count -= len(found["entries"])
        at = found["next"]


def _where(start: int, size: int) -> str:
    if start >= size:
        return f": the log has {counted(size)}, none from {start} on"
    return f" in entry {start}" if start == size - 1 else f" in entries {start} to {size - 1}"


def _given(options: Mapping[str, object]) -> dict[str, object]:
    lists = {name: [*value] for name, value in options.items() if isinstance(value, tuple)}
    return {name: value for name, value in {**options, **lists}.items() if value is not None}
