"""Tables on a terminal, and amounts as people read them."""

from collections.abc import Mapping, Sequence

import click

from macroslow.metering import money


def columns(rows: Sequence[Mapping[str, object]], titles: Mapping[str, str]) -> None:
    """Print rows under `titles` (member → title); numbers to the right, the rest to the left."""
    cells = [[_cell(row.get(name)) for name in titles] for row in rows]
    right = [all(isinstance(row.get(name), int | float) for row in rows) for name in titles]
    lines = [list(titles.values()), *cells]
    widths = [max(len(line[at]) for line in lines) for at in range(len(titles))]
    for line in lines:
        padded = [
            cell.rjust(width) if to_right else cell.ljust(width)
            for cell, width, to_right in zip(line, widths, right, strict=True)
        ]
        click.echo("  ".join(padded).rstrip())


def usd(usd_micros: object) -> str:
    """Micro-dollars as exact dollars: 1234567 → $1.234567; "-" for none."""
    if not isinstance(usd_micros, int):
        return "-"
    return f"${money.usd(usd_micros)}"


def _cell(value: object) -> str:
    match value:
        case None:
            return "-"
        case list() | tuple():
            return ", ".join(map(str, value)) or "-"
        case _:
            return str(value)
