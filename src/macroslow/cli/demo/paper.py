"""Lines on a terminal of 80 to 100 columns, with colour or without."""

import os
import shutil
import sys
import textwrap
from dataclasses import dataclass
from typing import Final

import click

from macroslow.cli.demo.checks import Check, Verdict
from macroslow.metering import money

NARROW: Final = 80
WIDE: Final = 100
CLAIM_COLUMNS: Final = 37
_MARKS: Final = {Verdict.HELD: ("✓", "ok", "green"), Verdict.FAILED: ("✗", "NO", "red")}
_NOT_RUN: Final = ("–", "--", "yellow")


@dataclass(frozen=True, slots=True)
class Paper:
    """Where the demo writes. `symbols`: whether the terminal's encoding has them."""

    width: int
    colour: bool
    symbols: bool

    @classmethod
    def of_terminal(cls) -> "Paper":
        """What standard output can show."""
        columns = shutil.get_terminal_size((NARROW, 24)).columns
        plain = bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") == "dumb"
        return cls(
            width=max(NARROW, min(WIDE, columns)),
            colour=sys.stdout.isatty() and not plain,
            symbols="utf" in (sys.stdout.encoding or "").lower(),
        )

    def line(self, text: str = "", *, indent: int = 0, style: str = "") -> None:
        """Write a paragraph, wrapped at the width."""
        blank = " " * indent
        wrapped = textwrap.wrap(
            text, self.width, initial_indent=blank, subsequent_indent=blank, break_on_hyphens=False
        )
        for one in wrapped or [""]:
            self._write(one, style)

    def verbatim(self, text: str, *, indent: int = 0) -> None:
        """Write lines as they are."""
        for one in text.splitlines():
            self._write(" " * indent + one, "")

    def title(self, number: int, name: str, story: str) -> None:
        """Begin an act."""
        self.line()
        self.line(f"{number}  {name}", style="bold")
        self.line(story, indent=3)

    def check(self, one: Check) -> None:
        """Write a check: mark, claim and figures; below it what the program said."""
        symbol, word, colour = _MARKS.get(one.verdict, _NOT_RUN)
        mark = symbol if self.symbols else word
        indent = " " * (2 + len(mark) + 1)
        found = f"not run: {one.found}" if one.verdict is Verdict.NOT_RUN else one.found
        body = textwrap.wrap(
            f"{one.claim:<{CLAIM_COLUMNS}} {found}",
            self.width - len(indent),
            subsequent_indent=" " * (CLAIM_COLUMNS + 1),
            drop_whitespace=True,
            break_on_hyphens=False,
        )
        first, *rest = body or [one.claim]
        click.echo(f"  {self._styled(mark, colour)} {self._plain(first)}", color=self.colour)
        for more in rest:
            self._write(indent + more, "")
        if one.said:
            self.line(f'"{one.said}"', indent=len(indent) + 2, style="dim")

    def _write(self, text: str, style: str) -> None:
        click.echo(self._styled(self._plain(text), style), color=self.colour)

    def _styled(self, text: str, style: str) -> str:
        if style in {"bold", "dim"}:
            return click.style(text, **{style: True})
        return click.style(text, fg=style) if style else text

    def _plain(self, text: str) -> str:
        """Without symbols that the encoding lacks."""
        return text if self.symbols else text.encode("ascii", "replace").decode()


def usd(usd_micros: int) -> str:
    """Micro-dollars as dollars and hundredths of cents, never rounded to look better: $0.9934."""
    return f"${money.usd(usd_micros).removesuffix('00')}"


def count(number: int) -> str:
    """12345 → 12,345."""
    return f"{number:,}"
