"""Entries of the log as lines for people."""

import json
import shutil
import sys
from collections.abc import Iterable, Mapping
from typing import Any, Final

import click

from macroslow.cli.console.columns import day_and_second
from macroslow.cli.console.terminal import one_line

FIRST: Final = (
    "principal",
    "kind",
    "reason",
    "budget",
    "percent",
    "model",
    "outcome",
    "status",
    "usd_micros",
    "input_tokens",
    "output_tokens",
    "would_refuse",
    "tag",
    "route",
)
"""What an operator looks for, in this order."""


def print_entries(entries: Iterable[Mapping[str, Any]], *, wide: bool) -> None:
    """Print each as one line, cut to the width of the terminal unless `wide`."""
    width = None if wide or not sys.stdout.isatty() else shutil.get_terminal_size().columns
    for entry in entries:
        line = line_of(entry)
        click.echo(line if width is None or len(line) <= width else f"{line[: width - 1]}…")


def line_of(entry: Mapping[str, Any]) -> str:
    """Number, time, type and what an operator looks for first; of an erased one, which entry says why."""
    moment = day_and_second(entry["time"])
    return one_line(f"{entry['index']:>6}  {moment}  {entry['type']:<18} {_told(entry)}")


def _told(entry: Mapping[str, Any]) -> str:
    fields = entry["fields"]
    if fields is None and entry["erased_by"] is None:
        return "(unreadable: the key to it is gone)"
    if fields is None:
        return f"(erased, see entry {entry['erased_by']})"
    return " ".join(
        f"{name}={_short(fields[name])}" for name in sorted(fields, key=_rank) if _says(fields[name])
    )


def _says(value: object) -> bool:
    return value not in (None, "", [])


def _rank(name: str) -> tuple[int, str]:
    """Who, what and how much come first; hashes and ids last."""
    if name in FIRST:
        return FIRST.index(name), name
    return len(FIRST) + name.endswith(("_id", "_sha256")), name


def _short(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 48 else f"{text[:16]}…"
