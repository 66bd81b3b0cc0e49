"""Tables on a terminal, and amounts and moments as people read them."""

from collections.abc import Mapping, Sequence
from datetime import datetime

import click

from macroslow.cli.console.terminal import one_line
from macroslow.metering import money


class Amount(str):
    """Money as people read it; in tables its digits stand below each other."""

    __slots__ = ()


def columns(rows: Sequence[Mapping[str, object]], titles: Mapping[str, str]) -> None:
    """Print rows under `titles` (member → title); numbers and amounts to the right, the rest to the left."""
    cells = [[_cell(row.get(name)) for name in titles] for row in rows]
    right = [all(isinstance(row.get(name), int | float | Amount) for row in rows) for name in titles]
    lines = [list(titles.values()), *cells]
    widths = [max(len(line[at]) for line in lines) for at in range(len(titles))]
    for line in lines:
        padded = [
            cell.rjust(width) if to_right else cell.ljust(width)
            for cell, width, to_right in zip(line, widths, right, strict=True)
        ]
        click.echo("  ".join(padded).rstrip())


def usd(usd_micros: object) -> Amount:
    """Micro-dollars as exact dollars: 1234567 → $1.234567; "-" for none."""
    if not isinstance(usd_micros, int):
        return Amount("-")
    return Amount(f"${money.usd(usd_micros)}")


def day_and_time(moment: object) -> str:
    """An instant of UTC as a table has it: 2026-01-31T12:00:00+00:00 → 2026-01-31 12:00; "-" for none."""
    return "-" if moment is None else str(moment).replace("T", " ")[:16]


def day_and_second(moment: object) -> str:
    """The same to the second, as a line has it: 2026-01-31T12:00:00+00:00 → 2026-01-31 12:00:00."""
    return "-" if moment is None else str(moment).replace("T", " ")[:19]


def in_utc(told: str, *, to_the: str = "minutes") -> str:
    """An instant of UTC, as a verb tells it: 2026-01-31T12:00:00+00:00 → 2026-01-31 12:00 UTC."""
    return f"{datetime.fromisoformat(told).replace(tzinfo=None).isoformat(' ', to_the)} UTC"


def _cell(value: object) -> str:
    match value:
        case None:
            return "-"
        case list() | tuple():
            return one_line(", ".join(map(str, value))) or "-"
        case _:
            return one_line(str(value))
