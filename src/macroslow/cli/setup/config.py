"""`macroslow config`: what is set, where that comes from, and whether a start would succeed."""

import json
from collections.abc import Sequence
from pathlib import Path

import click

from macroslow.bootstrap.models.catalogue import complete_catalogue
from macroslow.bootstrap.notes import warnings_on
from macroslow.cli._configured import config_option, settings_of
from macroslow.cli._places import all_secrets, problems_of, usage_problems, warnings_about
from macroslow.cli.console.errors import BAD_CONFIGURATION, problem_lines
from macroslow.cli.console.output import emit, json_option
from macroslow.cli.setup._toml import annotated
from macroslow.errors import ConfigurationError, Problem
from macroslow.settings import Settings, dotted, schema


@click.group()
def config() -> None:
    """Show and check the configuration."""


@config.command()
@config_option
@json_option
def show(config_file: Path | None, as_json: bool) -> None:
    """Show every setting, and where it comes from.

    Secrets are never shown; the references to them are.
    """
    settings = settings_of(config_file)
    values = settings.model_dump(mode="json")
    origins = {path: str(origin) for path, origin in settings.source.origins.items()}
    if as_json:
        named = {dotted(path): origin for path, origin in origins.items() if path}
        emit({"file": settings.source.file, "settings": values, "origins": named})
        return
    for line in annotated(values, origins):
        click.echo(line)
    click.echo("\n# In force where nothing is set:")
    click.echo(f"# documents.signatures = {settings.signature_rule}")
    click.echo(f"# log.origin = {settings.log_origin} (a new log; a forked one has its own name)")


@config.command()
@config_option
@json_option
def check(config_file: Path | None, as_json: bool) -> int:
    """Check the configuration and its secrets as a start does.

    Reports all problems at once, but secrets only once the settings are right. Exit code 78 if there is
    one. Nothing is asked over a network: a database, a rate store and the providers are not tried; nor is
    the state opened.
    """
    try:
        settings = settings_of(config_file)
    except ConfigurationError as error:
        problems = error.problems or [Problem(error.detail, error.fix)]
        return _bad(problems, as_json=as_json, then="; secrets were not looked for: mend that first")
    if problems := problems_of(settings):
        return _bad(problems, as_json=as_json)
    unread = usage_problems(settings)
    warnings = [
        *unread,
        *warnings_about(settings),
        *warnings_on(settings, complete_catalogue(settings)),
    ]
    if as_json:
        emit({"ok": True, "file": settings.source.file, "problems": [], "warnings": warnings})
        return 0
    for warning in warnings:
        click.echo(f"warning: {warning}", err=True)
    click.echo(_summary(settings, len(all_secrets(settings)) - len(unread)))
    return 0


@config.command(name="schema")
def schema_() -> None:
    """Print the JSON Schema of macroslow.toml, for editors."""
    click.echo(json.dumps(schema(), indent=2))


def _bad(problems: Sequence[Problem], *, as_json: bool, then: str = "") -> int:
    if as_json:
        listed = [
            {"file": one.file, "line": one.line, "field": one.field, "message": one.message, "fix": one.fix}
            for one in problems
        ]
        emit({"ok": False, "problems": listed, "warnings": []})
        return BAD_CONFIGURATION
    for line in problem_lines(problems):
        click.echo(line)
    click.echo(f"{_count(len(problems), 'problem')}: `macroslow serve` would not start{then}", err=True)
    return BAD_CONFIGURATION


def _summary(settings: Settings, secrets: int) -> str:
    parts = [
        _count(len(settings.providers), "provider"),
        _count(len(settings.apis), "outside API"),
        *([f"images of {' and '.join(settings.images.named)}"] if settings.images.named else []),
        *([_count(len(settings.mcp.servers), "MCP server")] if settings.mcp.servers else []),
        _count(secrets, "secret") + " found",
        *([_count(len(settings.auth.issuers), "issuer")] if settings.auth.issuers else []),
        *([_count(len(settings.budgets), "budget")] if settings.budgets else []),
        *(["refuses nothing: mode observe"] if settings.gateway.mode == "observe" else []),
        f"documents' signatures {settings.signature_rule}",
        f"listens on {settings.server.listen}",
        *[f"{name} not tried" for name in ("database", "rates") if getattr(settings.state, name)],
    ]
    return f"{settings.source.file or 'no file, defaults'}: good ({', '.join(parts)})"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
