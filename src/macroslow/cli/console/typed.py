"""Values as people type them: amounts, numbers, spans of time and moments."""

import re
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Final

import click

from macroslow.bootstrap.machine import clock
from macroslow.metering.ledger import MAX_COUNT
from macroslow.metering.money import MICROS_PER_USD, in_cents
from macroslow.ports import NS_PER_S
from macroslow.services.verbs import MAX_TIME_NS

NONE: Final = "none"
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_AGO: Final = re.compile("([0-9]{1,6})([smhd])")


class Dollars(click.ParamType[int | str]):
    """An amount in US dollars, kept as micro-dollars; where it may be none, the word says so."""

    name = "USD"

    def __init__(self, *, or_none: bool = False) -> None:
        self._or_none = or_none

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int | str:
        if isinstance(value, int):
            return value
        if self._or_none and value == NONE:
            return NONE
        try:
            micros = Decimal(str(value).removeprefix("$")) * MICROS_PER_USD
        except InvalidOperation:
            self.fail(f"{value!r} is not an amount such as 2.50", param, ctx)
        if not micros.is_finite() or micros < 0 or micros != micros.to_integral_value():
            self.fail(f"{value!r} is not an amount of 0 or more in steps of $0.000001", param, ctx)
        if micros > MAX_COUNT:
            self.fail(f"{value!r} is more than {in_cents(MAX_COUNT)}", param, ctx)
        return int(micros)


class Rate(click.ParamType[int | str]):
    """A number of 1 or more; where it may be none, the word says so."""

    name = "N"

    def __init__(self, *, or_none: bool = False) -> None:
        self._or_none = or_none

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int | str:
        if self._or_none and value == NONE:
            return NONE
        if not re.fullmatch("[1-9][0-9]{0,8}", str(value)):
            self.fail(f"{value!r} is not a number of 1 or more", param, ctx)
        return int(str(value))


class Number(click.ParamType[int]):
    """A whole number from `least` to `most`; None: without an end."""

    name = "N"

    def __init__(self, least: int, most: int | None = None) -> None:
        self._least, self._most = least, most

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        number = int(text) if re.fullmatch("[0-9]{1,15}", text := str(value)) else None
        if number is None or number < self._least or (self._most is not None and number > self._most):
            bounds = (
                f"of {self._least} or more" if self._most is None else f"from {self._least} to {self._most}"
            )
            self.fail(f"{value!r} is not a number {bounds}", param, ctx)
        return number


class Span(click.ParamType[int]):
    """A span of time such as 90s, 15m, 24h or 30d, kept in seconds."""

    name = "SPAN"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        found = re.fullmatch("([0-9]{1,6})([smhd])", str(value))
        if found is None:
            self.fail(f"{value!r} is not a span of time such as 24h", param, ctx)
        return int(found[1]) * _SECONDS[found[2]]


class Instant(click.ParamType[int]):
    """An instant, in seconds since 1970: a date, or a date and time, of UTC."""

    name = "DATE"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        try:
            return of_date(str(value))
        except ValueError:
            self.fail(f"{value!r} is not a date such as 2030-01-31 or 2030-01-31T12:00:00", param, ctx)


class Moment(click.ParamType[int | str]):
    """An instant, in nanoseconds since 1970: a span from now, or a date and time of UTC."""

    name = "WHEN"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int | str:
        if isinstance(value, int):
            return value
        if value == NONE:
            return NONE
        if re.fullmatch("[0-9]+[smhd]", str(value)):
            time_ns = clock.now_ns() + Span().convert(value, param, ctx) * NS_PER_S
        else:
            try:
                time_ns = of_date(str(value)) * NS_PER_S
            except ValueError:
                self.fail(
                    f"{value!r} is neither a span such as 30d nor a date such as 2030-01-31", param, ctx
                )
        if time_ns > MAX_TIME_NS:
            self.fail(f"{value!r} is after the year 2261: write none for no end", param, ctx)
        return time_ns


class Past(click.ParamType[int]):
    """An instant, in nanoseconds since 1970: so long ago, or a date, or a date and time, of UTC."""

    name = "WHEN"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        if ago := _AGO.fullmatch(str(value)):
            return max(0, clock.now_ns() - int(ago[1]) * _SECONDS[ago[2]] * NS_PER_S)
        try:
            return of_date(str(value)) * NS_PER_S
        except (ValueError, OverflowError):
            wanted = "how long ago, such as 2h or 7d, nor a date such as 2026-01-31 or 2026-01-31T12:00:00"
            self.fail(f"{value!r} is neither {wanted}", param, ctx)


def of_date(text: str) -> int:
    """Seconds since 1970, of UTC where the text names no other zone; ValueError."""
    moment = datetime.fromisoformat(text)
    return max(0, int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()))
