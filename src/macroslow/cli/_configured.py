"""Commands that read the configuration."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, TypeVar

import click

from macroslow.errors import ConfigurationError
from macroslow.settings import FILE_NAME, Settings, load

F = TypeVar("F", bound=Callable[..., Any])
KEY_VARIABLE: Final = "MACROSLOW_API_KEY"
"""It has a client's key: MCP clients are told its name, and `serve --stdio` reads it."""


def config_option(command: F) -> F:
    """Give a command `--config FILE`, passed to it as `config_file`."""
    return click.option(
        "--config",
        "config_file",
        type=click.Path(path_type=Path, dir_okay=False),
        metavar="FILE",
        help=f"Configuration file  [default: {FILE_NAME}, if there is one]",
    )(command)


def require_configured(configured: bool) -> None:
    """Refuse where nothing is configured: a gateway of defaults would be another one than is meant."""
    if not configured:
        raise ConfigurationError(f"there is no {FILE_NAME} here", fix="--config FILE, or macroslow init")


def settings_of(config_file: Path | None, flags: Mapping[str, object] = MappingProxyType({})) -> Settings:
    """Load the settings. `flags` are options by dotted name; one that is None was not given."""
    given = {name: value for name, value in flags.items() if value is not None}
    return load(config_file, os.environ, given)
