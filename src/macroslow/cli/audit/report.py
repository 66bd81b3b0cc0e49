"""`macroslow audit report`: what the log holds about one person, to be filed."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from macroslow.cli._configured import config_option
from macroslow.cli._log_files import FILE, checkpoint_of, log_key_of
from macroslow.cli._operator import ask
from macroslow.cli.console.columns import day_and_second
from macroslow.cli.console.counted import counted
from macroslow.cli.console.errors import CHECKED_IS_BAD
from macroslow.cli.console.errors import report as report_error
from macroslow.cli.console.output import emit, json_option
from macroslow.cli.console.terminal import one_line
from macroslow.cli.console.typed import Past
from macroslow.errors import NotFoundError


@click.command()
@click.option("--subject", required=True, help="About whom: a name as entries have it, or a pseudonym.")
@click.option("--from", "from_ns", type=Past(), help="Not older: 30d ago, or a date of UTC.")
@click.option("--to", "until_ns", type=Past(), help="Before this moment, likewise.")
@click.option("--since", type=FILE, help="A checkpoint that you kept, or a receipt: entries after it.")
@click.option(
    "--until", type=FILE, help="A checkpoint that you kept: entries up to it.  [default: a new one]"
)
@click.option("--key", type=FILE, help="The log's public key that you pinned.")
@config_option
@json_option
def report(
    subject: str,
    from_ns: int | None,
    until_ns: int | None,
    *,
    since: Path | None,
    until: Path | None,
    key: Path | None,
    config_file: Path | None,
    as_json: bool,
) -> int:
    """Report what the log holds about a person, and what it does not, between two checkpoints.

    Every entry in between is opened and counted by what it says. The report ends with the checkpoint that it
    speaks for. Exit code 1 if the whole log knows nobody of this name: it may have been mistyped.
    """
    wanted = {
        "from_ns": from_ns,
        "until_ns": until_ns,
        "since": checkpoint_of(since, "--since"),
        "until": checkpoint_of(until, "--until"),
        "key": log_key_of(key),
    }
    brought = {name: value for name, value in wanted.items() if value is not None}
    found = {**ask(config_file, "audit.report", subject=subject, **brought)}
    others = found.pop("near")  # names of other people, who are no part of what is filed or handed out
    if as_json:
        emit(found)
    else:
        for line in _lines(found):
            click.echo(one_line(line))
    if not found["known"]:
        meant = f"did you mean {' or '.join(others)}?" if others else ""
        fix = meant or "give the name as entries have it: macroslow audit tail"
        report_error(NotFoundError(f"no such subject is known here: {subject!r}", fix=fix))
    return 0 if found["known"] else CHECKED_IS_BAD


def _lines(found: Mapping[str, Any]) -> Iterator[str]:
    yield f"What the log {found['origin']} holds about {found['subject']}"
    if found["held_as"] is not None:
        yield f"While something is held its entries still bear the name {found['held_as']}."
    if not found["known"]:
        yield "No such subject is known here: no entry of the whole log is listed under this name."
    yield ""
    yield from _range(found)
    yield ""
    yield _counted("about them", found["entries"])
    yield from _kinds(found["by_type"])
    yield _counted("mentioned", found["mentioned"], " about others, which mention them")
    yield from _kinds(found["mentioned_by_type"])
    yield _counted("erased", found["erased"], " about them, which nobody can read any more")
    yield from _kinds(found["erased_by_type"])
    for erasure in found["erasures"]:
        yield from _erasure(erasure)
    yield ""
    yield from _limits(found)
    yield ""
    yield "The checkpoint that this speaks for. Save it, from its first line to its last, as FILE:"
    yield "  macroslow audit verify --since FILE      says whether the log still holds these entries"
    yield "  macroslow audit report … --until FILE    makes this report again"
    yield ""
    yield from found["checkpoint"].split("\n")


def _range(found: Mapping[str, Any]) -> Iterator[str]:
    first = 0 if found["after"] is None else found["after"]["size"]
    last = found["up_to"]
    span = f"{first} to {last['size'] - 1}" if first < last["size"] else "none"
    yield f"  entries    {span}, of a log signed at {_time(last['signed_at'])}"
    if found["from"] or found["to"]:
        yield f"  time       {_time(found['from']) or 'the beginning'} to {_time(found['to']) or 'the end'}"
    was = "was" if found["opened"] == 1 else "were"
    yield f"  looked at  {counted(found['looked_at'])}, of which {found['opened']} {was} opened"
    yield f"  root       {last['root_sha256']}"
    yield f"  key        {found['key_fingerprint']}"


def _counted(title: str, entries: int, what: str = "") -> str:
    return f"  {title:<10} {counted(entries)}{what}"


def _kinds(by_type: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    for kind, span in by_type.items():
        first, last = _time(span["first_at"]), _time(span["last_at"])
        where = f"{span['first_index']} ({first}) to {span['last_index']} ({last})"
        yield f"    {kind:<18} {span['entries']:>7}  {where}"


def _erasure(erasure: Mapping[str, Any]) -> Iterator[str]:
    reason = f", {erasure['reason']}" if erasure["reason"] else ""
    yield f"    as entry {erasure['index']} says, {_time(erasure['at'])}, {erasure['pseudonym']}{reason}"
    if erasure["held_until"] is not None:
        held = ", ".join(f"{kind} {count}" for kind, count in erasure["held"].items())
        yield f"    held until {_time(erasure['held_until'])}: {held}"


def _limits(found: Mapping[str, Any]) -> Iterator[str]:
    """What a report cannot say."""
    yield "Counted are entries whose subject has this name, and shared ones with a part about it."
    if found["others_erased"]:
        named = ", ".join(map(str, found["others_erased_as"]))
        which = "entry" if len(found["others_erased_as"]) == 1 else "entries"
        was = "was" if found["others_erased"] == 1 else "were"
        yield f"{found['others_erased']} more {was} erased under other names: see {which} {named}."
    if found["erased_parts"]:
        parts = "part of a shared entry was" if found["erased_parts"] == 1 else "parts of shared entries were"
        yield f"{found['erased_parts']} {parts} erased: of whom, nobody can say."
    if found["unreadable"]:
        yield f"{found['unreadable']} could not be opened: the keys to them are gone, and no entry says why."


def _time(moment: str | None) -> str:
    return "" if moment is None else f"{day_and_second(moment)} UTC"
