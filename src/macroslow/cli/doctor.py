"""`macroslow doctor`: what works on this machine, tried for real, and how to repair what does not."""

import asyncio
import platform
from dataclasses import asdict
from pathlib import Path

import click

from macroslow import __version__
from macroslow.cli._configured import config_option, settings_of
from macroslow.cli._errors import BAD_CONFIGURATION, CHECKED_IS_BAD, problem_lines
from macroslow.cli._output import emit, json_option
from macroslow.cli._places import problems_of
from macroslow.errors import ConfigurationError


@click.command()
@config_option
@json_option
def doctor(config_file: Path | None, *, as_json: bool) -> int:
    """Try each sandbox backend, the configuration and its secrets.

    Exit code 0 if code blocks can run and the configuration is good, 1 if they cannot, 78 if the
    configuration is bad.
    """
    from macroslow.adapters.sandbox import probe

    reports = asyncio.run(probe())
    problems = _configuration_problems(config_file)
    works = any(report.works for report in reports)
    code = BAD_CONFIGURATION if problems else 0 if works else CHECKED_IS_BAD
    if as_json:
        emit(
            {
                "ok": code == 0,
                "version": __version__,
                "python": platform.python_version(),
                "sandbox": [asdict(report) for report in reports],
                "problems": problems,
            }
        )
        return code
    click.echo(f"macroslow {__version__}, Python {platform.python_version()}, {platform.platform()}")
    for report in reports:
        click.echo(
            f"sandbox {report.backend:<10} {'works, ' + report.level if report.works else 'does not work'}"
        )
        if not report.works:
            click.echo(f"    {report.reason}")
            if report.repair:
                click.echo(f"    fix: {report.repair}")
    if not works:
        click.echo("code blocks are refused here; everything else works")
    click.echo("configuration " + ("is good" if not problems else "is bad"))
    for line in problems:
        click.echo(f"    {line}")
    return code


def _configuration_problems(config_file: Path | None) -> list[str]:
    try:
        settings = settings_of(config_file)
    except ConfigurationError as error:
        return [*problem_lines(error.problems)] or [error.detail]
    return [*problem_lines(problems_of(settings))]
