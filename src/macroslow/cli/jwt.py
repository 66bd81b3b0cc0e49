"""`macroslow jwt`: tokens of identity providers explained, revoked and, for trials, made."""

import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import click

from macroslow.authn.jwt.token import MAX_TOKEN_BYTES
from macroslow.cli._ask import STDIN
from macroslow.cli._columns import columns
from macroslow.cli._configured import config_option
from macroslow.cli._errors import CHECKED_IS_BAD
from macroslow.cli._key_options import Span
from macroslow.cli._operator import ask
from macroslow.cli._output import emit, json_option

_SCHEME: Final = "bearer "
_TIME: Final = click.DateTime(["%Y-%m-%dT%H:%M:%S", "%Y-%m-%d"])
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
    would be, with the keys of its issuer as they are now. Exit code 0: valid; 1: not.
    """
    found = ask(config_file, "jwt.explain", token=_token_from(source))
    if as_json:
        emit(found)
    else:
        _print(found)
    return 0 if found["valid"] else CHECKED_IS_BAD


@jwt.command()
@click.argument("who")
@click.option("--jti", default="", help="The one token of the issuer that has this `jti`.")
@click.option("--before", type=_TIME, help="Those issued before then (UTC).  [default: until now]")
@_REASON
@config_option
@json_option
def revoke(
    who: str, *, jti: str, before: datetime | None, reason: str, config_file: Path | None, as_json: bool
) -> None:
    """Refuse tokens of WHO from the next request on, and end what they have under way.

    WHO is an issuer's name in the configuration, a principal such as jwt/keycloak/alice, or - for the one
    token that comes on stdin. Tokens that are issued later count again.
    """
    if who == STDIN:
        if jti or before is not None:
            raise click.UsageError("The token on stdin says itself which it is.")
        found = ask(config_file, "jwt.revoke_token", token=_token_from(who), reason=reason)
    else:
        before_s = None if before is None else int(before.replace(tzinfo=UTC).timestamp())
        found = ask(config_file, "jwt.revoke", who=who, jti=jti, before_s=before_s, reason=reason)
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
        rows = [{**one, "what": _named(one)} for one in found["revoked"]]
        columns(rows, {"issuer": "ISSUER", "what": "REVOKED", "forgotten_at": "FORGOTTEN AT"})


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
    made = ask(config_file, "jwt.mint", subject=subject, scopes=[*scopes], lifetime_s=lifetime)
    if as_json:
        emit(made)
    else:
        click.echo(made["token"])


def _token_from(source: str) -> str:
    if source != STDIN:
        raise click.UsageError("A token is read from stdin alone: write - and give it there.")
    text = sys.stdin.read(2 * MAX_TOKEN_BYTES).strip()
    if text[: len(_SCHEME)].lower() == _SCHEME:
        text = text[len(_SCHEME) :].strip()
    if not text:
        raise click.UsageError("Nothing came on stdin.")
    return text


def _print(found: Mapping[str, Any]) -> None:
    for finding in found["findings"]:
        wanted = f"; wanted: {finding['wanted']}" if finding["wanted"] else ""
        click.echo(f"{'ok ' if finding['ok'] else 'BAD'} {finding['step']:<11} {finding['seen']}{wanted}")
    if found["valid"]:
        click.echo(f"valid: {found['principal']}, scopes {', '.join(found['scopes']) or 'none'}")
    else:
        click.echo(f"not valid: a request with it is refused at the step {found['refused_at']}")


def _named(one: Mapping[str, Any]) -> str:
    if one["jti"]:
        return f"the token {one['jti']}"
    return f"{one['subject'] or 'everybody'}, issued before {one['issued_before']}"
