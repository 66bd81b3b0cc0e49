"""Errors as a person at a terminal wants them: where, what, and what to do about it."""

from collections.abc import Iterable
from typing import Final

import click

from macroslow.errors import LogUnavailableError, MacroslowError, Problem, ProblemsError

CHECKED_IS_BAD: Final = 1
CANNOT_DECIDE: Final = 2
BAD_CONFIGURATION: Final = 78  # EX_CONFIG of sysexits.h

_EXIT: Final = {"configuration": BAD_CONFIGURATION, "state-locked": BAD_CONFIGURATION} | dict.fromkeys(
    (
        "verification-failed",
        "decryption-failed",
        "invalid-document",
        "invalid-inputs",
        "signature-refused",
        "origin-refused",
        "missing-right",
        "missing-scope",
        "forbidden",
        "unauthorized",
        "budget-exhausted",
        "conflict",
        "not-found",
        "model-not-found",
    ),
    CHECKED_IS_BAD,
)
"""Codes whose meaning is a verdict; every other one means that there is none."""


def exit_code(error: MacroslowError) -> int:
    """The exit code of an error, also of one that a running server reported under its own code."""
    return _EXIT.get(getattr(error, "remote_code", error.code), CANNOT_DECIDE)


def report(error: MacroslowError) -> None:
    """Write the error to stderr, with every problem in it."""
    click.echo(f"macroslow: {_shown(error.detail)}", err=True)
    if isinstance(error, LogUnavailableError) and error.reason != error.detail:
        click.echo(f"  {error.reason}", err=True)  # where the books are: who has them before him may know
    if isinstance(error, ProblemsError):
        for line in problem_lines(error.problems):
            click.echo(f"  {_shown(line)}", err=True)
    if error.fix:
        click.echo(f"  fix: {error.fix}", err=True)


def report_usage(error: click.ClickException) -> None:
    """Write to stderr what is wrong with a command line, in the same form."""
    context = error.ctx if isinstance(error, click.UsageError) else None
    if context is None or isinstance(error, click.exceptions.NoArgsIsHelpError):
        error.show()
        return
    click.echo(f"macroslow: {_shown(error.format_message())}", err=True)
    click.echo(f"  usage: {' '.join(context.get_usage().removeprefix('Usage:').split())}", err=True)
    click.echo(f"  fix: {context.command_path} --help tells what it takes", err=True)


def _shown(text: str) -> str:
    """What was typed where it does not belong may be a key: terminals and logs of builds keep what we say."""
    from macroslow.authn.api_keys import without_credentials  # here: it costs --help time

    return without_credentials(text)


def problem_lines(problems: Iterable[Problem]) -> Iterable[str]:
    """`file:line: field: what`, and below it the repair."""
    for problem in problems:
        place = f"{problem.file}:{problem.line}" if problem.file and problem.line else problem.file
        if problem.line and not problem.file:
            place = f"line {problem.line}"
        yield ": ".join(part for part in (place, problem.field, problem.message) if part)
        if problem.fix:
            yield f"    fix: {problem.fix}"
