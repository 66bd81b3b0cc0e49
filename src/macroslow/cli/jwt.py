"""`macroslow jwt`: tokens of identity providers explained, revoked and, for trials, made."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from macroslow.authn.jwt.check import PRINCIPAL_PREFIX
from macroslow.cli._configured import config_option
from macroslow.cli._credential import RESTART, ask_of_issuers, every, read_credential, unknown_to_it
from macroslow.cli._operator import ask
from macroslow.cli.console.ask import STDIN
from macroslow.cli.console.columns import columns, in_utc
from macroslow.cli.console.errors import CHECKED_IS_BAD
from macroslow.cli.console.output import emit, json_option
from macroslow.cli.console.typed import Instant, Span

_REASON = click.option("--reason", default="", help="Kept in the log.")


@click.group()
def jwt() -> None:
    """Tokens of identity providers."""


@jwt.command()
@click.argument("source", metavar="-")
@config_option
@json_option
def explain(source: str, config_file: Path | None, as_json: bool) -> int:
    """Check the token that comes on stdin, and say every step of it.

    A token is a credential: it is never taken from the command line. It is checked as a request with it
    would be, with the keys of its issuer as they are now. Exit code 0: it is let in, and has a scope; 1: not.
    """
    settings, found = ask_of_issuers(config_file, "jwt.explain", every, token=read_credential(source))
    if as_json:
        emit(found)
    else:
        _print(found)
        if unknown := sorted(settings.auth.issuers.keys() - found["issuers"]):
            click.echo(f"note: {unknown_to_it(unknown)}\n  fix: {RESTART}", err=True)
    return 0 if found["scopes"] else CHECKED_IS_BAD


@jwt.command()
@click.argument("who")
@click.option("--jti", default="", help="The one token of the issuer that has this `jti`.")
@click.option(
    "--before",
    "before_s",
    type=Instant(),
    help="Those issued before then (UTC), such as 2030-01-31.  [default: until now]",
)
@_REASON
@config_option
@json_option
def revoke(
    who: str, *, jti: str, before_s: int | None, reason: str, config_file: Path | None, as_json: bool
) -> None:
    """Refuse tokens of WHO from the next request on, and end what they have under way.

    WHO is an issuer's name in the configuration, a principal such as jwt/keycloak/alice, or - for the one
    token that comes on stdin. Tokens that are issued later count again.
    """
    if who == STDIN:
        if jti or before_s is not None:
            raise click.UsageError("The token on stdin says itself which it is.")
        found = ask(config_file, "jwt.revoke_token", token=read_credential(who), reason=reason)
    else:
        name = who.removeprefix(PRINCIPAL_PREFIX).partition("/")[0]
        arguments = {"who": who, "jti": jti, "before_s": before_s, "reason": reason}
        _, found = ask_of_issuers(config_file, "jwt.revoke", lambda each, _: each == name, **arguments)
    if as_json:
        emit(found)
        return
    for one in found["revoked"]:
        click.echo(f"Revoked of {one['issuer']}: {_named(one)}.")


@jwt.command(name="list")
@config_option
@json_option
def list_(config_file: Path | None, as_json: bool) -> None:
    """List what is revoked."""
    found = ask(config_file, "jwt.list")
    if as_json:
        emit(found)
    elif not found["revoked"]:
        click.echo("Nothing is revoked.")
    else:
        rows = [
            {
                "issuer": one["issuer"],
                "what": _named(one),
                "forgotten": "never" if one["forgotten_at"] is None else in_utc(one["forgotten_at"]),
            }
            for one in found["revoked"]
        ]
        columns(rows, {"issuer": "ISSUER", "what": "REVOKED", "forgotten": "FORGOTTEN"})


@jwt.command()
@click.argument("subject")
@click.option("--scope", "scopes", multiple=True, help="A scope of the token; may be given several times.")
@click.option("--lifetime", type=Span(), default="1h", show_default=True, help="How long it is good.")
@config_option
@json_option
def mint(
    subject: str, *, scopes: tuple[str, ...], lifetime: int, config_file: Path | None, as_json: bool
) -> None:
    """Make a token of the development issuer, for trials on this machine.

    Needs an issuer with preset = "development" in the configuration, which keeps the gateway on loopback.
    """
    arguments = {"subject": subject, "scopes": [*scopes], "lifetime_s": lifetime}
    settings, made = ask_of_issuers(
        config_file, "jwt.mint", lambda _, issuer: issuer.is_development, **arguments
    )
    if as_json:
        emit(made)
        return
    click.echo(made["token"])
    makers = [issuer for issuer in settings.auth.issuers.values() if issuer.is_development]
    if not scopes and not any(issuer.always_scopes for issuer in makers):
        click.echo("note: it is let in, and may do nothing: it has no scope", err=True)
        click.echo("  fix: --scope inference:chat", err=True)


def _print(found: Mapping[str, Any]) -> None:
    for finding in found["findings"]:
        wanted = f"; wanted: {finding['wanted']}" if finding["wanted"] else ""
        click.echo(f"{'ok ' if finding['ok'] else 'BAD'} {finding['step']:<11} {finding['seen']}{wanted}")
    click.echo(found["verdict"])
    if found["fix"]:
        click.echo(f"  fix: {found['fix']}")


def _named(one: Mapping[str, Any]) -> str:
    if one["jti"]:
        return f"the token {one['jti']}"
    return f"{one['subject'] or 'everybody'}, issued before {in_utc(one['issued_before'], to_the='seconds')}"
