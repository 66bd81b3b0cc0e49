"""`macroslow keys`: who may use this gateway, for what, and for how much."""

from decimal import Decimal, InvalidOperation
from pathlib import Path

import click

from macroslow.authz.scopes import ALL
from macroslow.bootstrap.commands import key_defaults
from macroslow.cli._columns import columns, usd
from macroslow.cli._configured import config_option, settings_of
from macroslow.cli._operator import ask
from macroslow.cli._output import emit, json_option


class Dollars(click.ParamType[int]):
    """An amount in US dollars, kept as micro-dollars."""

    name = "USD"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        try:
            micros = Decimal(str(value).removeprefix("$")) * 1_000_000
        except InvalidOperation:
            self.fail(f"{value!r} is not an amount such as 2.50", param, ctx)
        if not micros.is_finite() or micros < 0 or micros != micros.to_integral_value():
            self.fail(f"{value!r} is not an amount of 0 or more in steps of $0.000001", param, ctx)
        return int(micros)


@click.group()
def keys() -> None:
    """Clients' API keys."""


@keys.command()
@click.argument("principal")
@click.option("--budget", type=Dollars(), help="Most it may spend in all, in US dollars.")
@click.option("--scope", "scopes", multiple=True, type=click.Choice(sorted(ALL)), help="Repeatable.")
@click.option("--grant", "grants", multiple=True, metavar="URI", help="URI pattern it may use. Repeatable.")
@click.option("--rpm", "requests_per_minute", type=click.IntRange(1), help="Requests per minute.")
@click.option("--note", default="", help="What it is for.")
@click.option("--export", is_flag=True, help="Print the two shell lines that make SDKs use it.")
@config_option
@json_option
def create(
    principal: str,
    budget: int | None,
    scopes: tuple[str, ...],
    grants: tuple[str, ...],
    requests_per_minute: int | None,
    note: str,
    *,
    export: bool,
    config_file: Path | None,
    as_json: bool,
) -> None:
    """Make a key for PRINCIPAL and print it, once."""
    settings = settings_of(config_file)
    given = {
        "budget_usd_micros": budget,
        "scopes": [*scopes] or None,
        "requests_per_minute": requests_per_minute,
    }
    chosen = key_defaults(settings) | {name: value for name, value in given.items() if value is not None}
    if grants:
        chosen["grants"] = [*grants]
    made = ask(config_file, "keys.create", principal=principal, note=note, **chosen)
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
        "state": "STATE",
        "spent": "SPENT OF BUDGET",
        "note": "NOTE",
    }
    columns(rows, titles)


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
    for name, value in shown.items():
        text = (
            usd(value)
            if name.endswith("usd_micros")
            else ", ".join(value)
            if isinstance(value, list)
            else value
        )
        click.echo(f"{name.removesuffix('_usd_micros'):<20} {'-' if text in (None, '') else text}")


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


def _state(key: dict[str, object]) -> str:
    return "revoked" if key["revoked_at"] else "in force"


def _spent(key: dict[str, object]) -> str:
    return f"{usd(key.get('spent_usd_micros'))} of {usd(key.get('limit_usd_micros'))}"
