"""`macroslow secrets`: providers' keys, kept sealed in the state folder and checked wherever they are."""

import asyncio
import time
from datetime import UTC, datetime
from pathlib import Path

import click

from macroslow.bootstrap.references import shapes
from macroslow.cli._configured import config_option, settings_of
from macroslow.cli._keystore import open_keystore
from macroslow.cli._places import all_secrets, has_keystore, place_of, secret_sources, warnings_about
from macroslow.cli.console.ask import STDIN, at_terminal, from_stdin, without_echo
from macroslow.cli.console.errors import CHECKED_IS_BAD
from macroslow.cli.console.output import emit, json_option
from macroslow.errors import ConfigurationError
from macroslow.ports import NS_PER_S
from macroslow.secretstore.reference import Reference, Scheme, is_entry_name
from macroslow.secretstore.resolve import Wanted, read
from macroslow.settings import Settings


@click.group()
def secrets() -> None:
    """Keep and check providers' keys."""


@secrets.command(name="set")
@click.argument("name")
@click.argument("source", required=False, metavar="[-]")
@config_option
@json_option
def set_(name: str, source: str | None, config_file: Path | None, as_json: bool) -> None:
    """Put a secret into the keystore, under NAME.

    Asks for it without echo, or reads it from stdin if - is given. Refer to it as keystore:NAME.
    """
    if source not in {None, STDIN}:
        raise click.UsageError(
            "Secrets are not taken from the command line, where other programs and the shell's history "
            "see them. Consider this one known. Give - and send it on stdin, or give nothing to be asked."
        )
    if not is_entry_name(name):
        raise click.UsageError("NAME is 1 to 64 letters, digits, dots, underscores and hyphens.")
    if source is None and not at_terminal():
        raise click.UsageError("There is no terminal to ask at. Give - and send the secret on stdin.")
    settings = settings_of(config_file)
    secret = from_stdin() if source else without_echo(f"Secret for {name} (not shown): ")
    if secret is None:
        raise click.UsageError("Nothing was given, nothing is stored.")
    open_keystore(settings).put(name, secret, stored_ns=time.time_ns())
    users = _users(settings, name)
    if as_json:
        emit({"name": name, "reference": f"keystore:{name}", "used_by": users})
        return
    click.echo(f"stored keystore:{name}")
    click.echo(
        f"used by {', '.join(users)}" if users else f'no setting refers to it yet: key = "keystore:{name}"'
    )


@secrets.command(name="list")
@config_option
@json_option
def list_(config_file: Path | None, as_json: bool) -> None:
    """List the keystore's entries, never their content."""
    settings = settings_of(config_file)
    entries = open_keystore(settings).entries() if has_keystore(settings) else ()
    rows = [
        {"name": one.name, "stored": _day(one.stored_ns), "used_by": _users(settings, one.name)}
        for one in entries
    ]
    if as_json:
        emit({"secrets": rows})
        return
    for row in rows:
        click.echo(f"{row['name']:<32}  {row['stored']}  {', '.join(row['used_by']) or 'not used'}")
    if not rows:
        click.echo("the keystore is empty: macroslow secrets set NAME")


@secrets.command()
@config_option
@json_option
def check(config_file: Path | None, as_json: bool) -> int:
    """Check every secret that the configuration refers to.

    Each must be there and not be a placeholder. Exit code 1 if one is not.
    """
    settings = settings_of(config_file)
    faults = asyncio.run(_faults(settings))
    warnings = warnings_about(settings)
    if as_json:
        rows = [
            {"setting": one.setting, "reference": str(one.reference), "fault": fault, "fix": fix}
            for one, (fault, fix) in faults
        ]
        emit({"ok": not any(fault for _, (fault, _) in faults), "secrets": rows, "warnings": warnings})
    else:
        _print_faults(settings, faults, warnings)
    return CHECKED_IS_BAD if any(fault for _, (fault, _) in faults) else 0


async def _faults(settings: Settings) -> list[tuple[Wanted, tuple[str, str]]]:
    """For each secret what is wrong with it and the repair; empty texts for a good one."""
    sources, forms = secret_sources(settings), shapes(settings)
    found = []
    for wanted in all_secrets(settings):
        try:
            await read(wanted.reference, sources, forms.get(wanted.setting))
        except ConfigurationError as error:
            found.append((wanted, (error.detail, error.fix)))
        else:
            found.append((wanted, ("", "")))
    return found


def _print_faults(
    settings: Settings, faults: list[tuple[Wanted, tuple[str, str]]], warnings: list[str]
) -> None:
    for wanted, (fault, fix) in faults:
        place = place_of(settings, wanted.reference)
        told = fault or f"{wanted.reference}{f', from {place}' if place else ''}"
        click.echo(f"{wanted.setting:<32}  {'good   ' if not fault else 'REFUSED'}  {told}")
        if fix:
            click.echo(f"{'':<32}  fix: {fix}")
    for warning in warnings:
        click.echo(f"warning: {warning}", err=True)
    if not faults:
        click.echo("no setting refers to a secret")


def _users(settings: Settings, name: str) -> list[str]:
    reference = Reference(Scheme.KEYSTORE, name)
    return [wanted.setting for wanted in all_secrets(settings) if wanted.reference == reference]


def _day(ns: int) -> str:
    return datetime.fromtimestamp(ns / NS_PER_S, UTC).date().isoformat()
