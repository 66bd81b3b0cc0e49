"""`macroslow keys`: who may use this gateway, for what, and for how much."""

import re
from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from macroslow.authz.scopes import ALL
from macroslow.bootstrap.commands import key_defaults
from macroslow.cli._columns import columns, usd
from macroslow.cli._configured import config_option, settings_of
from macroslow.cli._operator import ask
from macroslow.cli._output import emit, json_option
from macroslow.metering.money import MICROS_PER_USD

F = TypeVar("F", bound=Callable[..., Any])
NONE: Final = "none"


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


def _bounds(command: F, *, or_none: bool) -> F:
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
        click.option("--team", help="Whose budget and reports it counts to besides its own."),
        click.option("--weight", type=click.IntRange(1), help="Its share where calls must wait (1 to 100)."),
        click.option("--note", help="What it is for."),
    ]
    for option in reversed(options):
        command = option(command)
    return command


@click.group()
def keys() -> None:
    """Clients' API keys."""


@keys.command()
@click.argument("principal")
@partial(_bounds, or_none=False)
@click.option("--scope", "scopes", multiple=True, type=click.Choice(sorted(ALL)), help="Repeatable.")
@click.option("--grant", "grants", multiple=True, metavar="URI", help="URI pattern it may use. Repeatable.")
@click.option("--export", is_flag=True, help="Print the two shell lines that make SDKs use it.")
@config_option
@json_option
def create(
    principal: str, *, export: bool, config_file: Path | None, as_json: bool, **wished: object
) -> None:
    """Make a key for PRINCIPAL and print it, once."""
    settings = settings_of(config_file)
    given = {name: [*value] if isinstance(value, tuple) else value for name, value in wished.items()}
    chosen = key_defaults(settings) | {
        name: value for name, value in given.items() if value not in (None, [])
    }
    made = ask(config_file, "keys.create", principal=principal, **chosen)
    if as_json:
        emit(made)
        return
    if export:
        click.echo(f"export OPENAI_BASE_URL={settings.server.url}/v1")
        click.echo(f"export OPENAI_API_KEY={made['key']}")
        return
    click.echo(made["key"])
    click.echo(
        f"Key {made['id']} for {principal}, budget {usd(made['budget_usd_micros'])}. It is not shown again.",
        err=True,
    )


@keys.command(name="set")
@click.argument("key_id")
@partial(_bounds, or_none=True)
@config_option
@json_option
def set_(key_id: str, *, config_file: Path | None, as_json: bool, **wanted: object) -> None:
    """Bound a key anew, from its next request on.

    What is not named stays as it is. The change is in the log.
    """
    given = {name: None if value == NONE else value for name, value in wanted.items() if value is not None}
    if not given:
        raise click.UsageError("Nothing to change was named.")
    shown = ask(config_file, "keys.set", key_id=key_id, **given)
    if as_json:
        emit(shown)
    else:
        _print_key(shown)


@keys.command(name="list")
@config_option
@json_option
def list_(config_file: Path | None, as_json: bool) -> None:
    """List keys with their budgets; the keys themselves are kept nowhere."""
    listed = ask(config_file, "keys.list")
    if as_json:
        emit(listed)
        return
    if not listed["keys"]:
        click.echo("There is no key.")
        return
    rows = [{**key, "state": _state(key), "spent": _spent(key)} for key in listed["keys"]]
    titles = {
        "id": "ID",
        "principal": "PRINCIPAL",
        "team": "TEAM",
        "state": "STATE",
        "spent": "SPENT OF BUDGET",
        "note": "NOTE",
    }
    columns(rows, titles)
    if any(key["legacy"] for key in listed["keys"]):
        click.echo("legacy: made by another gateway, which keeps its hash; replace it with a key of our own")


@keys.command()
@click.argument("key_id")
@config_option
@json_option
def show(key_id: str, config_file: Path | None, as_json: bool) -> None:
    """Show one key's rights and account."""
    shown = ask(config_file, "keys.show", key_id=key_id)
    if as_json:
        emit(shown)
        return
    _print_key(shown)


@keys.command()
@click.argument("key_id")
@click.option("--reason", default="", help="Kept in the log.")
@config_option
@json_option
def revoke(key_id: str, reason: str, config_file: Path | None, as_json: bool) -> None:
    """Refuse a key from the next request on."""
    revoked = ask(config_file, "keys.revoke", key_id=key_id, reason=reason)
    if as_json:
        emit(revoked)
    else:
        click.echo(f"Key {revoked['id']} of {revoked['principal']} is revoked since {revoked['revoked_at']}.")


def _print_key(shown: Mapping[str, Any]) -> None:
    for name, value in shown.items():
        text = usd(value) if name.endswith("usd_micros") else value
        told = ", ".join(value) if isinstance(value, list) else text
        click.echo(f"{name.removesuffix('_usd_micros'):<20} {'-' if told in (None, '') else told}")


def _state(key: Mapping[str, Any]) -> str:
    return f"{key['state']}, legacy" if key["legacy"] else str(key["state"])


def _spent(key: Mapping[str, Any]) -> str:
    return f"{usd(key.get('spent_usd_micros'))} of {usd(key.get('limit_usd_micros'))}"
