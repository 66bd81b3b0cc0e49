"""Options that say what a client key may do and how much of it, and how their values are written."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Final, TypeVar

import click

from macroslow.authn.terms import MAX_WEIGHT
from macroslow.authz.scopes import ALL, KNOWN, is_server_scope
from macroslow.bootstrap.machine import clock
from macroslow.metering.ledger import MAX_COUNT
from macroslow.metering.money import MICROS_PER_USD, in_cents
from macroslow.ports import NS_PER_S
from macroslow.services.verbs import MAX_TIME_NS

F = TypeVar("F", bound=Callable[..., Any])
NONE: Final = "none"
SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


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


class Scope(click.Choice[str]):
    """One of the list, or the scope of an MCP server."""

    def __init__(self) -> None:
        super().__init__(sorted(ALL))

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        text = str(value)
        return text if is_server_scope(text) else super().convert(text, param, ctx)


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
        return int(found[1]) * SECONDS[found[2]]


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


def of_date(text: str) -> int:
    """Seconds since 1970, of UTC where the text names no other zone; ValueError."""
    moment = datetime.fromisoformat(text)
    return max(0, int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()))


def given(options: dict[str, Any]) -> dict[str, object]:
    """Those options that were given, as arguments of a verb: what is `none` is no bound."""
    found: dict[str, object] = {}
    for name, value in options.items():
        if isinstance(value, tuple):
            if value:
                found[name] = [] if value == (NONE,) else [*value]
        elif value is not None:
            found[name] = None if value == NONE else value
    return found


def bounds(command: F, *, or_none: bool) -> F:
    """The options that bound a key, each passed on under its verb's own name."""
    dollars = Dollars(or_none=or_none)
    no_bound = f" ({NONE}: no bound)" if or_none else ""
    options = [
        click.option(
            "--budget", "budget_usd_micros", type=dollars, help=f"Most it may spend in all{no_bound}."
        ),
        click.option("--budget-day", "day_usd_micros", type=dollars, help=f"Most in a day of UTC{no_bound}."),
        click.option(
            "--budget-month", "month_usd_micros", type=dollars, help=f"Most in a month of UTC{no_bound}."
        ),
        click.option(
            "--rpm",
            "requests_per_minute",
            type=Rate(or_none=or_none),
            help=f"Requests per minute{no_bound}.",
        ),
        click.option(
            "--concurrent",
            "concurrent_requests",
            type=Rate(or_none=or_none),
            help=f"Requests under way at once{no_bound}.",
        ),
        click.option("--expires", "expires_ns", type=Moment(), help="When it ends: 30d, 2030-01-31 or none."),
        click.option(
            "--address",
            "addresses",
            multiple=True,
            metavar="CIDR",
            help="Network it may be used from. Repeatable; none: anywhere.",
        ),
        click.option(
            "--scope",
            "scopes",
            multiple=True,
            type=Scope(),
            metavar="SCOPE",
            help=f"What it may be used for. Repeatable: {KNOWN}.",
        ),
        click.option(
            "--grant", "grants", multiple=True, metavar="URI", help="URI pattern it may use. Repeatable."
        ),
        click.option("--team", help="Whose budget and reports it counts to besides its own."),
        click.option(
            "--weight",
            type=Number(1, MAX_WEIGHT),
            help=f"Its share where calls must wait (1 to {MAX_WEIGHT}).",
        ),
        click.option("--note", help="What it is for."),
    ]
    for option in reversed(options):
        command = option(command)
    return command
