"""Commands that ask the gateway for one of the operator's verbs, running or not."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from macroslow.bootstrap.commands import administer
from macroslow.cli._configured import settings_of
from macroslow.cli.console.progress import on_terminal
from macroslow.errors import Problem, ProblemsError
from macroslow.settings import Settings


def ask(config_file: Path | None, verb: str, **arguments: object) -> Mapping[str, Any]:
    """Perform a verb by the running server, or on the state folder if none runs."""
    return ask_with(settings_of(config_file), verb, **arguments)


def ask_with(settings: Settings, verb: str, **arguments: object) -> Mapping[str, Any]:
    """The same where the settings are read already."""
    try:
        with on_terminal() as progress:
            outcome = administer(settings, verb, arguments, progress)
    except ProblemsError as error:
        error.problems = tuple(map(_as_typed, error.problems))
        raise
    if not isinstance(outcome, Mapping):
        raise TypeError(f"the verb {verb} returned no object")
    return outcome


def _as_typed(problem: Problem) -> Problem:
    """The problem under the name that was typed: the command's `--expires`, not the verb's `expires_ns`."""
    named = {
        parameter.name: parameter.opts[0]
        if isinstance(parameter, click.Option)
        else parameter.human_readable_name
        for parameter in click.get_current_context().command.params
    }
    name, _, _ = problem.field.partition(".")  # what follows is the place in a list
    return replace(problem, field=named[name]) if name in named else problem
