"""Files that commands make for a person to start from. None is ever overwritten."""

import os
from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path

import click

from macroslow.errors import ConfigurationError


def template(name: str) -> str:
    """A text of ours that is copied."""
    return files("macroslow.cli").joinpath("files", name).read_text(encoding="utf-8")


def write_new(path: Path, text: str) -> bool:
    """Create the file, a `.env` for its owner alone; False if there is one, which stays as it is."""
    mode = 0o600 if path.name == ".env" else 0o644
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    except FileExistsError:
        return False
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be written: {error.strerror}", fix="name another folder"
        ) from None
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    return True


def print_files(folder: Path, wrote: Iterable[str], kept: Iterable[str]) -> None:
    """What became of each file."""
    for name in wrote:
        click.echo(f"wrote  {folder / name}")
    for name in kept:
        click.echo(f"kept   {folder / name} (it was there already)")
