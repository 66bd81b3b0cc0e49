"""`macroslow keys`: who may use this gateway, for what, and for how much."""

import shutil
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import click

from macroslow.authn.keyring import IN_FORCE
from macroslow.authz.scopes import ADMIN, administrates
from macroslow.bootstrap.commands import key_defaults
from macroslow.bootstrap.machine import clock
from macroslow.cli._configured import config_option, settings_of
from macroslow.cli._operator import ask
from macroslow.cli.console.columns import columns, in_utc
from macroslow.cli.console.output import emit, json_option
from macroslow.cli.console.terminal import one_line
from macroslow.cli.console.typed import Span
from macroslow.cli.keys._check import check
from macroslow.cli.keys._options import bounds, given
from macroslow.cli.keys._words import BUDGETS, fitted, page_of, rows_of, terms_of
from macroslow.ports import NS_PER_S


@click.group()
def keys() -> None:
    """Clients' API keys."""


keys.add_command(check)


@keys.command()
@click.argument("principal")
@partial(bounds, or_none=False)
@click.option("--export", is_flag=True, help="Print the two shell lines that make SDKs use it.")
@config_option
@json_option
def create(
    principal: str, *, export: bool, config_file: Path | None, as_json: bool, **wished: object
) -> None:
    """Make a key for PRINCIPAL and print it, once."""
    settings = settings_of(config_file)
    made = ask(config_file, "keys.create", principal=principal, **key_defaults(settings) | given(wished))
    if as_json:
        emit(made)
        return
    _print_new(made, config_file, export=export)
    click.echo(
        f"Key {made['id']} for {principal}, {terms_of(made, _now())}. It is not shown again.", err=True
    )
    if not any(made[name] is not None for name in BUDGETS):
        click.echo(
            f"  fix: macroslow keys set {made['id']} --budget 10, or [keys] for all new keys", err=True
        )
    if administrates(set(made["scopes"])):
        click.echo(f"note: {_of_an_administrator(made['scopes'])}", err=True)


@keys.command(name="set")
@click.argument("key_id")
@partial(bounds, or_none=True)
@config_option
@json_option
def set_(key_id: str, *, config_file: Path | None, as_json: bool, **wanted: object) -> None:
    """Bound a key anew, from its next request on.

    What is not named stays as it is; scopes and grants only become fewer. The change is in the log.
    """
    changes = given(wanted)
    if not changes:
        raise click.UsageError("Nothing to change was named.")
    shown = ask(config_file, "keys.set", key_id=key_id, **changes)
    if as_json:
        emit(shown)
        return
    _print_key(shown)
    if any(changes.get(name) is not None for name in ("day_usd_micros", "month_usd_micros")):
        click.echo(
            "note: what it spent before it had a budget by day or month is not counted in that", err=True
        )


@keys.command(name="list")
@click.option("--all", "with_ended", is_flag=True, help="Those too that are revoked or expired.")
@config_option
@json_option
def list_(config_file: Path | None, *, with_ended: bool, as_json: bool) -> None:
    """List keys with their budgets; the keys themselves are kept nowhere.

    As JSON it is always all of them.
    """
    listed = ask(config_file, "keys.list")
    if as_json:
        emit(listed)
        return
    shown = [key for key in listed["keys"] if with_ended or key["state"] == IN_FORCE]
    if shown:
        width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
        columns(*fitted(rows_of(shown, _now()), width))
    else:
        click.echo("There is no key in force." if listed["keys"] else "There is no key.")
    if any(key["legacy"] for key in shown):
        click.echo("legacy: made by another gateway, which keeps its hash; replace it with a key of our own")
    ended = len(listed["keys"]) - len(shown)
    if ended:
        click.echo(f"{ended} more, revoked or expired: macroslow keys list --all", err=True)


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
@click.option(
    "--overlap",
    "overlap_s",
    type=Span(),
    default="24h",
    show_default=True,
    help="How long the secret that it has still works (0s: no more); then streams that run under it end too.",
)
@click.option("--export", is_flag=True, help="Print the two shell lines that make SDKs use it.")
@config_option
@json_option
def rotate(key_id: str, *, overlap_s: int, export: bool, config_file: Path | None, as_json: bool) -> None:
    """Give a key a new secret and print it, once.

    Account, budgets and rights stay.
    """
    made = ask(config_file, "keys.rotate", key_id=key_id, overlap_s=overlap_s)
    if as_json:
        emit(made)
        return
    _print_new(made, config_file, export=export)
    until = f"works until {in_utc(made['overlap_until'])}" if made["overlap_until"] else "works no more"
    click.echo(f"Key {key_id} has a new secret; the one before {until}. It is not shown again.", err=True)


@keys.command()
@click.argument("key_id")
@click.option("--reason", default="", help="Kept in the log.")
@config_option
@json_option
def revoke(key_id: str, reason: str, config_file: Path | None, as_json: bool) -> None:
    """Refuse a key from the next request on, and end what it has under way."""
    revoked = ask(config_file, "keys.revoke", key_id=key_id, reason=reason)
    if as_json:
        emit(revoked)
        return
    named, since = f"Key {revoked['id']} of {revoked['principal']}", in_utc(revoked["revoked_at"])
    if revoked["revoked_before"]:
        click.echo(f"{named} was revoked already, at {since}: nothing was changed.")
    else:
        click.echo(f"{named} is revoked since {since}.")


def _print_new(made: Mapping[str, Any], config_file: Path | None, *, export: bool) -> None:
    if export:
        click.echo(f"export OPENAI_BASE_URL={settings_of(config_file).server.url}/v1")
        click.echo(f"export OPENAI_API_KEY={made['key']}")
    else:
        click.echo(made["key"])


def _print_key(shown: Mapping[str, Any]) -> None:
    for name, told in page_of(shown, _now()):
        click.echo(one_line(f"{name:<17}  {told}"))


def _now() -> datetime:
    return datetime.fromtimestamp(clock.now_ns() / NS_PER_S, UTC)


def _of_an_administrator(scopes: Sequence[str]) -> str:
    """What a key with a scope admin:… is not for, which is where its first use would surprise."""
    passed_on = [scope for scope in scopes if scope not in ADMIN]
    told = "it opens the administrators' listener alone, and no route of clients"
    return f"{told}; {', '.join(passed_on)}: for the keys that it makes" if passed_on else told
