"""Options that say what a client key may do and how much of it."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from macroslow.authn.terms import MAX_WEIGHT
from macroslow.authz.scopes import ALL, KNOWN, is_server_scope
from macroslow.cli.console.typed import NONE, Dollars, Moment, Number, Rate

F = TypeVar("F", bound=Callable[..., Any])


class Scope(click.Choice[str]):
    """One of the list, or the scope of an MCP server."""

    def __init__(self) -> None:
        super().__init__(sorted(ALL))

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        text = str(value)
        return text if is_server_scope(text) else super().convert(text, param, ctx)


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
