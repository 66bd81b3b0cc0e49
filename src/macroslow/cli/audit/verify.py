"""`macroslow audit verify` and `checkpoint`: whether the log is whole, and what to hold it against."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from macroslow.cli._configured import config_option
from macroslow.cli._log_files import FILE, checkpoint_of, log_key_of
from macroslow.cli._operator import ask
from macroslow.cli.console.errors import CANNOT_DECIDE, CHECKED_IS_BAD, exit_code
from macroslow.cli.console.output import emit, json_option
from macroslow.errors import MacroslowError


@click.command()
@click.option("--since", type=FILE, help="A checkpoint that you kept, or a receipt: the log must extend it.")
@click.option(
    "--from", "start", type=FILE, help="The same, of a log that you verified then: read only the rest."
)
@click.option("--key", "key_file", type=FILE, help="The log's public key that you pinned.")
@config_option
@json_option
def verify(
    since: Path | None, start: Path | None, key_file: Path | None, *, config_file: Path | None, as_json: bool
) -> int:
    """Verify the log: every entry, the tree, the signatures, the ledger.

    Without --key the log is held against the key in its own state folder: whoever owns that folder
    could have signed anew. Exit code 1 if anything is wrong, also where the signer noted that it signed
    more entries than there are, 2 if there is no entry or nothing is signed:
    then there is nothing to verify, or to hold the entries against.
    """
    if since and start:
        raise click.UsageError("--from holds the log against its checkpoint too: give one of the two.")
    kept = checkpoint_of(since or start, "--from" if start else "--since")
    wanted = {"since": kept, "key": log_key_of(key_file), "resume": start is not None}
    try:
        found = ask(config_file, "audit.verify", **wanted)
    except MacroslowError as error:
        if as_json and exit_code(error) == CHECKED_IS_BAD:
            emit({"sound": False, "detail": error.detail})
        raise
    empty = found["entries"] == 0
    undecided = empty or (not found["signed"] and found["since"] is None)
    older = found["signed_ever"] > found["entries"]
    if as_json:
        sound = False if older else None if undecided else True
        emit({"sound": sound, **found, "decided": older or not undecided})
    elif older:
        _older(found["entries"], found["signed_ever"])
    elif empty:
        click.echo("cannot decide: the log has no entries", err=True)
        click.echo("  fix: if it had any, restore the newest backup", err=True)
    elif undecided:
        click.echo(f"cannot decide: {found['entries']} entries, none of them signed by this key", err=True)
        click.echo("  fix: hold the log against a checkpoint that somebody kept: --since FILE", err=True)
    else:
        _sound(found, "" if key_file else "  (its own: pin it with --key)")
    return CHECKED_IS_BAD if older else CANNOT_DECIDE if undecided else 0


def _older(entries: int, signed_ever: int) -> None:
    verbs = "was" if signed_ever == 1 else "were", "is" if entries == 1 else "are"
    click.echo(
        f"an older copy: {_counted(signed_ever)} {verbs[0]} signed, {entries} {verbs[1]} here", err=True
    )
    click.echo(
        "  fix: restore the newest backup; a copy beside the real log is verified with"
        " MACROSLOW__LOG__HIGH_WATER=off",
        err=True,
    )


def _sound(found: Mapping[str, Any], whose: str) -> None:
    entries, signed, start = found["entries"], found["signed"], found["start"]
    read = _counted(entries - start) + (f" after the first {start}" if start else "")
    witnesses = ", ".join(found["witnesses"])
    seen = f"witnessed by {witnesses}" if witnesses else "not witnessed by a third party"
    click.echo(f"SOUND: {read}, root {found['root_sha256'][:16]}…")
    click.echo(f"  signed     the first {signed} (Ed25519 and ML-DSA-44); {seen}")
    if entries > signed:
        click.echo(f"  unsigned   the last {entries - signed}: the next checkpoint covers them")
    click.echo(f"  key        {found['key_fingerprint']}{whose}")
    if found["signed_by"] not in (None, found["key_fingerprint"]):
        click.echo(f"  signed by  {found['signed_by']}, to which that key hands over")
    if found["since"] is not None:
        click.echo(f"  extends    your checkpoint of {_counted(found['since'])}")
    if found["erased"]:
        named = ", ".join(map(str, found["erased_as"]))
        says = "entry {} says" if len(found["erased_as"]) == 1 else "entries {} say"
        click.echo(f"  erased     {_counted(found['erased'])}, as {says.format(named)}")
    click.echo("  ledger     counters equal the rows")


def _counted(entries: int) -> str:
    return f"{entries} {'entry' if entries == 1 else 'entries'}"


@click.command()
@config_option
@json_option
def checkpoint(config_file: Path | None, as_json: bool) -> None:
    """Print the newest signed checkpoint, to be kept elsewhere.

    What it does not cover yet, and why, stderr says.
    """
    signed = ask(config_file, "audit.checkpoint")
    if as_json:
        emit(signed)
    else:
        click.echo(signed["note"], nl=False)
    if signed["unsigned"]:
        late = signed["entries"] - signed["size"]
        click.echo(f"unsigned: the last {_counted(late)}: {signed['unsigned']}", err=True)
