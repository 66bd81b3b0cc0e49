"""Moments that are past, as they are typed: 2h, 7d, 2026-01-31, 2026-01-31T12:00:00."""

import re
from typing import Final

import click

from macroslow.bootstrap.machine import clock
from macroslow.cli._key_options import SECONDS, of_date
from macroslow.ports import NS_PER_S

_AGO: Final = re.compile("([0-9]{1,6})([smhd])")


class Past(click.ParamType[int]):
    """An instant, in nanoseconds since 1970: so long ago, or a date, or a date and time, of UTC."""

    name = "WHEN"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        if ago := _AGO.fullmatch(str(value)):
            return max(0, clock.now_ns() - int(ago[1]) * SECONDS[ago[2]] * NS_PER_S)
        try:
            return of_date(str(value)) * NS_PER_S
        except (ValueError, OverflowError):
            wanted = "how long ago, such as 2h or 7d, nor a date such as 2026-01-31 or 2026-01-31T12:00:00"
            self.fail(f"{value!r} is neither {wanted}", param, ctx)
