"""Data on stdout: one JSON object on one line, last, for whoever asked for it."""

import json
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


def json_option(command: F) -> F:
    """Give a command `--json`, passed to it as `as_json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON object on one line.")(command)


def emit(data: Mapping[str, object]) -> None:
    """Print the object. What JSON has no form for (paths, amounts) is printed as text."""
    click.echo(json.dumps(data, ensure_ascii=False, default=str))
