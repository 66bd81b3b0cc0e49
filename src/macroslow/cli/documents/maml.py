"""`macroslow maml`: writing documents. Nothing here runs code, asks a server or reads a configuration."""

import uuid
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import click

from macroslow.cli._files import STDIN, write_over
from macroslow.cli.console.errors import CHECKED_IS_BAD, problem_lines
from macroslow.cli.console.output import emit, json_option
from macroslow.cli.documents._reading import read_document
from macroslow.cli.documents._signing import sign, verify
from macroslow.crypto import documents
from macroslow.errors import InvalidDocumentError, MacroslowError, Problem, SignatureRefusedError
from macroslow.maml.document import TYPES, VERSIONS
from macroslow.maml.fix import mend
from macroslow.maml.fmt import format_document
from macroslow.maml.new import new_document
from macroslow.maml.parse import parse

_FILES = click.argument(
    "files",
    metavar="FILE...",
    nargs=-1,
    required=True,
    type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path),
)


@dataclass(frozen=True, slots=True)
class FileReport:
    """What one file is worth."""

    file: str
    valid: bool
    signed: bool
    problems: tuple[Problem, ...]
    warnings: tuple[Problem, ...]
    repairs: tuple[str, ...] = ()


@click.group("maml")
def group() -> None:
    """Write, check and sign workflow documents (*.maml.md)."""


group.add_command(sign)
group.add_command(verify)


@group.command()
@click.argument("file", required=False, type=click.Path(dir_okay=False, allow_dash=True, path_type=Path))
@click.option("--origin", default="agent://my-agent", show_default=True, metavar="URI", help="Who vouches.")
@click.option("--type", "kind", type=click.Choice(TYPES), default=TYPES[0], show_default=True)
@click.option("--maml-version", type=click.Choice(VERSIONS), default=VERSIONS[-1], show_default=True)
def new(file: Path | None, origin: str, kind: str, maml_version: str) -> None:
    """Write a first document to FILE, or to standard output. Nothing is overwritten."""
    raw = new_document(
        document_id=_new_id(), created_at=_now(), origin=origin, kind=kind, version=maml_version
    )
    try:
        parse(raw)
    except InvalidDocumentError as error:
        raise click.UsageError("; ".join(problem.message for problem in error.problems)) from None
    if file is None or file == STDIN:
        click.echo(raw, nl=False)
        return
    try:
        with file.open("xb") as target:
            target.write(raw)
    except FileExistsError:
        raise click.UsageError(f"{file} exists already.") from None
    except OSError as error:
        raise click.UsageError(f"{file}: {error.strerror}") from None
    click.echo(f"wrote {file}")


@group.command()
@_FILES
@click.option("--fix", "mending", is_flag=True, help="First make the repairs that need no decision.")
@json_option
def validate(files: tuple[Path, ...], *, mending: bool, as_json: bool) -> int:
    """Check documents and print every problem with its line and repair.

    A signature is not checked here, see `maml verify`. With --fix and FILE -, the repaired document
    goes to standard output and the report to standard error.
    """
    reports = [_validate(file, mending=mending) for file in files]
    if as_json:
        emit({"valid": all(report.valid for report in reports), "files": [asdict(one) for one in reports]})
    else:
        for report in reports:
            _show(report, to_stderr=mending and report.file == "-")
    return 0 if all(report.valid for report in reports) else CHECKED_IS_BAD


def _validate(file: Path, *, mending: bool) -> FileReport:
    raw, name = read_document(file), str(file)
    repairs: tuple[str, ...] = ()
    try:
        bare, signature = documents.split(raw)
        if mending and signature is None:  # a signed file would be broken by any repair
            mended = mend(raw, new_id=_new_id(), created_at=_now())
            _write(file, raw, mended.raw)
            bare, repairs = mended.raw, mended.repairs
        parsed = parse(bare)
    except InvalidDocumentError as error:
        return FileReport(name, False, False, _in(name, error.problems), (), repairs)
    except SignatureRefusedError as error:
        return FileReport(name, False, True, (Problem(error.detail, error.fix, file=name),), (), repairs)
    return FileReport(name, True, signature is not None, (), _in(name, parsed.warnings), repairs)


@group.command()
@_FILES
@click.option("--check", "checking", is_flag=True, help="Change nothing; exit 1 if something would change.")
def fmt(files: tuple[Path, ...], *, checking: bool) -> int:
    """Put the front matter into one order and spacing. The body stays as it is, byte for byte.

    FILE - goes from standard input to standard output.
    """
    code = 0
    for file in files:
        raw = read_document(file)
        try:
            formatted = format_document(raw)
        except MacroslowError as error:
            problems = error.problems if isinstance(error, InvalidDocumentError) else ()
            told = problems or (Problem(error.detail, error.fix),)
            _lines(problem_lines(_in(str(file), told)), to_stderr=True)
            code = CHECKED_IS_BAD
            continue
        if not checking:
            _write(file, raw, formatted)
        if formatted != raw:
            click.echo(f"{'would change' if checking else 'changed'} {file}", err=file == STDIN)
            code = CHECKED_IS_BAD if checking else code
    return code


def _in(name: str, problems: Iterable[Problem]) -> tuple[Problem, ...]:
    return tuple(replace(problem, file=name) for problem in problems)


def _show(report: FileReport, *, to_stderr: bool) -> None:
    _lines((f"{report.file}: repaired: {repair}" for repair in report.repairs), to_stderr)
    _lines(problem_lines(report.problems), to_stderr)
    warned = (replace(problem, message=f"warning: {problem.message}") for problem in report.warnings)
    _lines(problem_lines(warned), to_stderr)
    if report.valid:
        signed = ", signed (see maml verify)" if report.signed else ""
        _lines([f"{report.file}: valid{signed}"], to_stderr)


def _lines(lines: Iterable[str], to_stderr: bool) -> None:
    for line in lines:
        click.echo(line, err=to_stderr)


def _write(file: Path, before: bytes, after: bytes) -> None:
    """Replace the file in one step, if it changed; standard input goes to standard output in any case."""
    if file == STDIN:
        click.echo(after, nl=False)
    elif after != before:
        try:
            write_over(file, after)
        except OSError as error:
            raise click.UsageError(f"{file}: {error.strerror}") from None


def _new_id() -> str:
    return f"urn:uuid:{uuid.uuid4()}"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
