"""Files that commands read, make and replace. What is there already is never overwritten by something new."""

import os
import shutil
import sys
from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path
from typing import Final

import click

from macroslow.errors import ConfigurationError

STDIN: Final = Path("-")


def read_up_to(file: Path, most_bytes: int) -> bytes:
    """The first bytes of a file, or of standard input for `-`. UsageError if it cannot be read."""
    try:
        if file == STDIN:
            return sys.stdin.buffer.read(most_bytes)
        with file.open("rb") as source:
            return source.read(most_bytes)
    except OSError as error:
        raise click.UsageError(f"{file} cannot be read: {error.strerror}") from None


def read_whole(file: Path, limit_bytes: int) -> bytes:
    """All bytes of a file, or of standard input for `-`. UsageError if there are more than the limit."""
    content = read_up_to(file, limit_bytes + 1)
    if len(content) > limit_bytes:
        raise click.UsageError(f"{file} is larger than {limit_bytes} bytes.")
    return content


def create(path: Path, text: str, mode: int = 0o644) -> bool:
    """Make the file; False if there is one, which stays as it is. OSError if it cannot be made."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    except FileExistsError:
        return False
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    return True


def write_over(path: Path, content: bytes) -> None:
    """Put the content in the place of a file in one step: there is never half of it. OSError.

    The file's permissions stay. What does not exist is made.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.unlink(missing_ok=True)  # of one that was killed: in a container each has the same number
    try:
        with beside.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if path.exists():
            shutil.copymode(path, beside)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def template(name: str) -> str:
    """A text of ours that is copied."""
    return files("macroslow.cli").joinpath("files", name).read_text(encoding="utf-8")


def write_new(path: Path, text: str) -> bool:
    """As `create`, for a file to start from; a `.env` is for its owner alone. ConfigurationError."""
    try:
        return create(path, text, 0o600 if path.name == ".env" else 0o644)
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be written: {error.strerror}", fix="name another folder"
        ) from None


def print_files(folder: Path, wrote: Iterable[str], kept: Iterable[str]) -> None:
    """What became of each file."""
    for name in wrote:
        click.echo(f"wrote  {folder / name}")
    for name in kept:
        click.echo(f"kept   {folder / name} (it was there already)")
