"""`macroslow mcp`: other MCP servers, and what of them is approved."""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import click

from macroslow.cli._configured import config_option
from macroslow.cli._operator import ask
from macroslow.cli.console.ask import at_terminal
from macroslow.cli.console.columns import columns
from macroslow.cli.console.errors import CHECKED_IS_BAD
from macroslow.cli.console.output import emit, json_option
from macroslow.cli.console.terminal import one_line
from macroslow.errors import BadRequestError, MacroslowError

FIX: Final = "is it running? does its URL end in /mcp? what a program said last is in the gateway's log"
WAITING: Final = frozenset({"new", "changed", "gone"})
_SERVER: Final = click.argument("server")
_TOOLS: Final = click.option(
    "--tool", "tools", multiple=True, metavar="NAME", help="Only this tool, and the server's identity."
)


@click.group()
def mcp() -> None:
    """Other MCP servers behind this gateway."""


@mcp.group()
def pins() -> None:
    """What other servers offer is used once it is approved, in the very form that was approved."""


@pins.command(name="list")
@config_option
@json_option
def list_(config_file: Path | None, *, as_json: bool) -> None:
    """List the servers, and how many of their items are approved, wait or cannot be offered."""
    listed = ask(config_file, "mcp.list")
    if as_json:
        emit(listed)
        return
    if not listed["servers"]:
        click.echo("No MCP server is configured.")
        return
    heads = {"name": "SERVER", "offered": "OFFERED", "new": "NEW", "changed": "CHANGED", "gone": "GONE"}
    columns(listed["servers"], heads | {"unfit": "UNFIT", "scope": "SCOPE", "where": "WHERE"})
    for one in listed["servers"]:
        if one["trouble"]:
            click.echo(one_line(f"{one['name']}: {one['trouble']}"))
    if any(one["trouble"] for one in listed["servers"]):
        click.echo(f"  fix: {FIX}")


@pins.command()
@_SERVER
@_TOOLS
@config_option
@json_option
def diff(server: str, tools: tuple[str, ...], *, config_file: Path | None, as_json: bool) -> int:
    """Show what of SERVER waits for approval, and how it differs from what was approved.

    Exit code 1 if something waits. The digest at the end is what an approval names.
    """
    found = _diff(config_file, server, tools)
    if as_json:
        emit(found)
    else:
        _show(found)
    return CHECKED_IS_BAD if found["waiting"] else 0


@pins.command()
@_SERVER
@_TOOLS
@click.option("--digest", help="Of what `diff` showed; without it, it is shown here and you are asked.")
@config_option
@json_option
def approve(
    server: str, tools: tuple[str, ...], *, digest: str | None, config_file: Path | None, as_json: bool
) -> int:
    """Approve what of SERVER waits: exactly what was shown, or nothing.

    Exit code 1 if you do not agree.
    """
    if digest is None:
        if as_json or not at_terminal():
            where = "where --json is" if as_json else "but at a terminal"
            raise BadRequestError(f"nobody is asked {where}", fix="give --digest, as `diff` told it")
        shown = _diff(config_file, server, tools)
        _show(shown)
        if not shown["waiting"]:
            return 0
        if not _agreed():
            click.echo("Nothing was approved.")
            return CHECKED_IS_BAD
        digest = shown["digest"]
    approved = ask(config_file, "mcp.approve", server=server, digest=digest, tools=[*tools])
    if as_json:
        emit(approved)
    elif approved["approved"]:
        are = "is" if approved["approved"] == 1 else "are"
        click.echo(f"{_items(approved['approved'])} of {approved['name']} {are} approved.")
    else:
        click.echo(f"What {approved['name']} offers is approved already.")
    return 0


def _agreed() -> bool:
    """The end of input is a no."""
    try:
        return click.confirm("Approve this?")
    except click.Abort:
        click.echo()
        return False


def _diff(config_file: Path | None, server: str, tools: Sequence[str]) -> Mapping[str, Any]:
    try:
        return ask(config_file, "mcp.diff", server=server, tools=[*tools])
    except MacroslowError as error:
        error.fix = error.fix or FIX
        raise


def _items(number: int) -> str:
    return f"{number} item{'' if number == 1 else 's'}"


def _show(found: Mapping[str, Any]) -> None:
    """Everything that waits or is refused, readable; then the digest."""
    for item in found["items"]:
        if item["state"] in WAITING or item["fault"]:
            for line in _item(item):
                click.echo(one_line(line))
    if not found["waiting"]:
        click.echo(f"Nothing of {found['server']} waits for approval.")
        return
    wait = "waits" if found["waiting"] == 1 else "wait"
    click.echo(f"{_items(found['waiting'])} of {found['server']} {wait}. Digest of what is shown:")
    click.echo(found["digest"])


def _item(item: Mapping[str, Any]) -> Iterator[str]:
    called = f"{item['kind']} {item['name']}" if item["name"] else "who the server is"
    yield f"== {called}: {item['fault'] or item['state']}"
    if item["renamed_from"]:
        yield f"   it was called {item['renamed_from']}, and is otherwise the same"
    for other in item["beside"]:
        yield f"   its name could be taken for {other}"
    if item["hidden_characters"]:
        yield f"   {item['hidden_characters']} hidden characters, which are taken out before it is offered"
    for suspicion in item["suspicions"]:
        yield f"   reads like an order to a model (a guess): {suspicion}"
    yield from _changes(item["before"] or [], item["now"] or [])


def _changes(before: Sequence[str], now: Sequence[str]) -> list[str]:
    return [*difflib.unified_diff(before, now, "approved", "now", lineterm="")]
