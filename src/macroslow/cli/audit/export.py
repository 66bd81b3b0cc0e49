"""`macroslow audit export`: the log as files that any web server can serve."""

import os
from base64 import b64decode
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import click

from macroslow.cli._configured import config_option, settings_of
from macroslow.cli._files import write_over
from macroslow.cli._operator import ask_with
from macroslow.cli.console.counted import counted
from macroslow.cli.console.output import emit, json_option
from macroslow.cli.console.progress import on_terminal
from macroslow.errors import BadRequestError
from macroslow.services.proofs.export_log import Exported, ExportLog
from macroslow.settings import Settings
from macroslow.tlog.tiles import CHECKPOINT


@click.command()
@click.argument("folder", metavar="DIR", type=click.Path(file_okay=False, path_type=Path))
@config_option
@json_option
def export(folder: Path, config_file: Path | None, *, as_json: bool) -> None:
    """Write the log into DIR as the files of C2SP tlog-tiles, so that any web server is a mirror of it.

    Everything is checked on the way. What DIR has already is kept, so the next export writes what is new; a
    file that differs from the log is named and left as it is, with exit code 1. No file says more of an entry
    than its time and type.
    """
    settings = settings_of(config_file)
    (note,) = _fetch(settings, [CHECKPOINT])
    with _on_disk(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with on_terminal() as progress:
        done = ExportLog(partial(_fetch, settings), _Folder(folder), progress)(note)
    if as_json:
        emit({"folder": folder, **_told(done)})
    else:
        click.echo(f"exported {counted(done.size)} of {done.origin} to {folder}")
        click.echo(f"  root       {done.root.hex()[:16]}…")
        click.echo(f"  files      {done.wrote} written, {done.kept} there already")


def _told(done: Exported) -> dict[str, object]:
    return {
        "origin": done.origin,
        "entries": done.size,
        "root_sha256": done.root.hex(),
        "files_written": done.wrote,
        "files_kept": done.kept,
    }


def _fetch(settings: Settings, paths: Sequence[str]) -> list[bytes]:
    if not paths:
        return []
    return [b64decode(file) for file in ask_with(settings, "audit.files", paths=list(paths))["files"]]


@contextmanager
def _on_disk(path: Path) -> Iterator[None]:
    """What the disk refuses is said of `path`. BadRequestError."""
    try:
        yield
    except OSError as error:
        raise BadRequestError(
            f"the log cannot be exported to {path}: {error.strerror or error}",
            fix="name a folder that you may write to, or make this one writable, with room on its disk",
        ) from None


@dataclass(frozen=True, slots=True)
class _Folder:
    """The folder on disk, which web servers read as somebody else."""

    root: Path
    _touched: set[Path] = field(default_factory=set)

    def read(self, path: str) -> bytes | None:
        file = self.root / path
        with _on_disk(file):
            try:
                return file.read_bytes()
            except FileNotFoundError:
                return None

    def write(self, path: str, content: bytes) -> None:
        file = self.root / path
        with _on_disk(file):
            file.parent.mkdir(parents=True, exist_ok=True)
            write_over(file, content)
        self._touched.update(file.parents[: len(Path(path).parts)])

    def settle(self) -> None:
        """Written through: the files are, as `write_over` leaves them, and so are their names now."""
        for folder in self._touched:
            with _on_disk(folder):
                descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
                try:
                    os.fsync(descriptor)
                finally:
                    os.close(descriptor)
        self._touched.clear()
