"""`macroslow import`: come from another gateway, and be told what could not come along."""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import click

from macroslow.adapters import packaged
from macroslow.cli._files import print_files, read_whole, template, write_new
from macroslow.cli._operator import ask_with
from macroslow.cli.console.errors import CHECKED_IS_BAD
from macroslow.cli.console.output import emit, json_option
from macroslow.cli.setup._toml import annotated
from macroslow.services.litellm.import_litellm import Imported, import_config
from macroslow.services.litellm.import_litellm_keys import KeyRow, read_keys
from macroslow.settings import FILE_NAME, dotted, load
from macroslow.settings.origin import quoted

MAX_CONFIG_BYTES: Final = 1024 * 1024  # written by hand
MAX_KEYS_BYTES: Final = 64 * 1024 * 1024
KEYS_AT_ONCE: Final = 500
_ENVIRON: Final = re.compile(r'"env:([A-Za-z_][A-Za-z0-9_]*)"')
SHOWN_NAMES: Final = 8


@click.group(name="import")
def import_() -> None:
    """Come from another gateway."""


@import_.command()
@click.argument("config", required=False, type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.option(
    "--keys",
    "keys_file",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="Its table of keys, as CSV or JSON.",
)
@click.option(
    "--write",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Write macroslow.toml and .env.template there, and take the keys into the gateway of that folder.",
)
@click.option("--without-restrictions", is_flag=True, help="Take keys whose restrictions are unknown here.")
@json_option
def litellm(
    config: Path | None,
    keys_file: Path | None,
    folder: Path | None,
    *,
    without_restrictions: bool,
    as_json: bool,
) -> int:
    """Carry over CONFIG, a LiteLLM proxy's config.yaml, and its keys.

    Without --write nothing is changed: what would be is printed. Everything that has no counterpart
    is named with its line. Exit code 1 if a key was not taken.
    """
    if config is None and keys_file is None:
        raise click.UsageError("Name a config.yaml, or --keys FILE.")
    found = _config(config) if config else None
    toml = "".join(f"{line}\n" for line in _toml(found, str(config))) if found else ""
    text = _read(keys_file, MAX_KEYS_BYTES) if keys_file else ""
    rows = read_keys(text, without_restrictions=without_restrictions) if keys_file else []
    wrote, kept = _write(folder, toml) if folder and found else ([], [])
    outcomes = (
        _adopt(folder, rows) if folder else ["would be taken" if row.adopt else "refused" for row in rows]
    )
    if as_json:
        emit({**_object(found, toml, rows, outcomes), "wrote": wrote, "kept": kept})
        return CHECKED_IS_BAD if "refused" in outcomes else 0
    _print(config, found, "" if folder else toml, rows, outcomes)
    if folder and found:
        print_files(folder, wrote, kept)
        _print_next(folder, toml)
    if not folder:
        click.echo("Nothing was written, and no key taken: --write DIR does that.", err=True)
    return CHECKED_IS_BAD if "refused" in outcomes else 0


def _read(path: Path, limit_bytes: int) -> str:
    try:
        return read_whole(path, limit_bytes).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise click.UsageError(f"{path} is not UTF-8.") from None


def _config(path: Path) -> Imported:
    found, problems = import_config(_read(path, MAX_CONFIG_BYTES), packaged.catalogue())
    if found is None:
        lines = [f"  {path}:{one.line}: {one.message} (fix: {one.fix})" for one in problems]
        raise click.UsageError("\n".join([f"{path} is not read:", *lines]))
    return found


def _toml(found: Imported, name: str) -> Sequence[str]:
    origins = {path: f"{name}:{line}" for path, line in found.lines.items()}
    told = list(annotated(found.settings, origins))[1:]  # no empty line at the top
    return [*told, *_without_price(found, name)]


def _without_price(found: Imported, name: str) -> Iterator[str]:
    """Models to be priced by hand, as comments: a name without a price would stop the start."""
    lines, models = found.unpriced.lines, found.unpriced.models
    if lines:
        yield ""
        yield "# No price of these is known. Write both, in US dollars for a million tokens, and take the"
        yield "# marks away: then they are served."
    for upstream, line in lines.items():
        yield "#"
        yield f"# [{dotted(('models', upstream))}]  # {name}:{line}"
        yield "# input_usd ="
        yield "# output_usd ="
        yield from _members(models.get(upstream, {}), "# ")
    carried = found.settings.get("models", {})
    assert isinstance(carried, dict)  # noqa: S101 - made by the import
    for other, table in models.items():
        if other in carried:
            yield f"# # In [{dotted(('models', other))}], which stands above, write:"
            yield from _members(table, "# #   ")
        elif other not in lines:
            yield f"# [{dotted(('models', other))}]"
            yield from _members(table, "# ")


def _members(table: Mapping[str, object], mark: str) -> Iterator[str]:
    """What a name asks for: a text, or a list of them."""
    for member, value in table.items():
        told = f"[{', '.join(map(quoted, value))}]" if isinstance(value, list) else quoted(str(value))
        yield f"{mark}{member} = {told}"


def _write(folder: Path, toml: str) -> tuple[list[str], list[str]]:
    """Write the configuration and what belongs beside it: the names of those written, and of those kept."""
    folder.mkdir(parents=True, exist_ok=True)
    if not write_new(folder / FILE_NAME, toml):
        raise click.UsageError(
            f"{folder / FILE_NAME} is there already and is not changed: print the settings instead."
        )
    load(folder / FILE_NAME, {})  # what was written is what a server reads
    beside = {".gitignore": template("gitignore")}
    if names := _wanted(toml):
        head = template("env.template").splitlines()[:2]
        beside[".env.template"] = "\n".join([*head, *(f"{name}=your_api_key_here" for name in names), ""])
    wrote = [name for name, text in beside.items() if write_new(folder / name, text)]
    return [FILE_NAME, *wrote], [name for name in beside if name not in wrote]


def _wanted(toml: str) -> list[str]:
    """The names under which the configuration looks for secrets in the environment."""
    return sorted(set(_ENVIRON.findall(toml)))


def _print_next(folder: Path, toml: str) -> None:
    keys = "cp .env.template .env && chmod 600 .env   # and write the keys into it"
    steps = [f"cd {folder}", *([keys] if _wanted(toml) else []), "macroslow config check && macroslow serve"]
    click.echo("\nNext:")
    for step in steps:
        click.echo(f"  {step}")


def _adopt(folder: Path, rows: Sequence[KeyRow]) -> list[str]:
    """Take the keys in; what became of each, in order."""
    taken = [row for row in rows if row.adopt is not None]
    outcomes = dict.fromkeys((row.number for row in rows), "refused")
    settings = load(folder / FILE_NAME, os.environ) if taken else None
    for start in range(0, len(taken) if settings else 0, KEYS_AT_ONCE):
        some = taken[start : start + KEYS_AT_ONCE]
        assert settings is not None  # noqa: S101 - some are taken
        answer = ask_with(settings, "keys.adopt", keys=[row.adopt for row in some])
        for row, told in zip(some, answer["keys"], strict=True):
            outcomes[row.number] = told["outcome"]
    return [outcomes[row.number] for row in rows]


def _print(
    config: Path | None, found: Imported | None, toml: str, rows: Sequence[KeyRow], outcomes: Sequence[str]
) -> None:
    click.echo(toml, nl=False)
    for note in found.notes if found else ():
        click.echo(f"{config}:{note.line}: {note.what}: {note.why}", err=True)
    for row, outcome in zip(rows, outcomes, strict=True):
        click.echo("; ".join([f"key {row.number} ({row.name}): {outcome}", *row.notes]), err=True)
    for line in _shared_budgets(rows):
        click.echo(line, err=True)


def _shared_budgets(rows: Sequence[KeyRow]) -> Iterator[str]:
    """What the table of keys cannot say: the budgets that keys had together."""
    if not rows:
        return
    yield "budgets of teams and users stand in other tables, and are not carried; write those you had:"
    teams = {str(row.adopt["team"]) for row in rows if row.adopt and row.adopt["team"]}
    people = {str(row.adopt["principal"]) for row in rows if row.adopt}
    for scope, names in (("team", teams or {"…"}), ("principal", people or {"…"})):
        shown = " or ".join(quoted(name) for name in sorted(names)[:SHOWN_NAMES])
        more = f" and {len(names) - SHOWN_NAMES} more" if len(names) > SHOWN_NAMES else ""
        yield f'  [[budgets]] with for = "{scope}", name = {shown}{more}, period = "month" and usd'


def _object(
    found: Imported | None, toml: str, rows: Sequence[KeyRow], outcomes: Sequence[str]
) -> dict[str, Any]:
    notes = [{"line": one.line, "what": one.what, "why": one.why} for one in found.notes] if found else []
    keys = [
        {"number": row.number, "name": row.name, "outcome": outcome, "notes": [*row.notes]}
        for row, outcome in zip(rows, outcomes, strict=True)
    ]
    return {"macroslow_toml": toml, "notes": notes, "keys": keys}
