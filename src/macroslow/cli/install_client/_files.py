"""A server's entry put into a client's configuration file, with all else in it as it was.

JSON is written anew with its members in their order. TOML is added to as text, so that its comments stay.
What cannot be read is not touched: some clients allow comments in JSON, and those would be lost.
"""

import itertools
import json
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from macroslow.cli._files import write_over
from macroslow.cli.install_client._clients import Client, Entry
from macroslow.errors import ConflictError
from macroslow.settings.origin import dotted, quoted

BY_HAND: Final = "add it by hand: without --write it is printed"


def with_entry(
    client: Client, text: str, name: str, entry: Entry, inputs: Sequence[Entry], *, force: bool
) -> str:
    """The file's text with the entry in it. `text` is "" where there is no file.

    ConflictError if it has another entry of that name and not `force`, or is not what the client reads.
    """
    if client.table == "mcp_servers":
        return _with_toml(client, text, name, entry, force=force)
    return _with_json(client, text, name, entry, inputs, force=force)


def put(file: Path, text: str) -> Path | None:
    """Write the file in one step. Returns where what was there before is kept, if anything was."""
    kept = None
    if file.exists():
        kept = _free(file)
        kept.touch(mode=0o600, exist_ok=False)  # it may hold secrets of other servers
        kept.write_bytes(file.read_bytes())
    file.parent.mkdir(parents=True, exist_ok=True)
    write_over(file, text.encode())
    return kept


def _free(file: Path) -> Path:
    """A name beside a file that nothing has."""
    names = (file.with_name(f"{file.name}.bak{number or ''}") for number in itertools.count())
    return next(name for name in names if not name.exists())


def _with_json(
    client: Client, text: str, name: str, entry: Entry, inputs: Sequence[Entry], *, force: bool
) -> str:
    try:
        whole = json.loads(text) if text.strip() else {}
    except json.JSONDecodeError as error:
        raise ConflictError(f"the file is not plain JSON (line {error.lineno})", fix=BY_HAND) from None
    servers = whole.setdefault(client.table, {}) if isinstance(whole, dict) else None
    if not isinstance(servers, dict):
        raise ConflictError(f"{client.table!r} is not where {client.title} looks for it", fix=BY_HAND)
    _refuse_other(servers, name, entry, force=force)
    servers[name] = dict(entry)
    if inputs:
        asked = whole.setdefault("inputs", [])
        if not isinstance(asked, list):
            raise ConflictError("'inputs' is not a list", fix=BY_HAND)
        ours = {each["id"] for each in inputs}
        asked[:] = [each for each in asked if not (isinstance(each, dict) and each.get("id") in ours)]
        asked.extend(map(dict, inputs))
    return json.dumps(whole, indent=2, ensure_ascii=False) + "\n"


def _with_toml(client: Client, text: str, name: str, entry: Entry, *, force: bool) -> str:
    before = _toml(text)
    servers = before.setdefault(client.table, {})
    if not isinstance(servers, dict):
        raise ConflictError(f"{client.table!r} is not a table", fix=BY_HAND)
    _refuse_other(servers, name, entry, force=force)
    if servers.get(name) == entry:
        return text
    kept = "".join(_without(text, (client.table, name)))
    added = "".join(f"{key} = {_value(value)}\n" for key, value in entry.items())
    gap = "\n" if kept.strip() else ""
    result = f"{kept.rstrip()}{gap}{gap}[{dotted((client.table, name))}]\n{added}"
    servers[name] = dict(entry)
    if _toml(result) != before:
        raise ConflictError(f"the table of {name} is not written as one block", fix=BY_HAND)
    return result


def _toml(text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConflictError(f"the file is not TOML: {error}", fix=BY_HAND) from None


def _without(text: str, path: tuple[str, str]) -> Iterator[str]:
    """The lines outside the block of a table and of those below it."""
    inside = False
    for line in text.splitlines(keepends=True):
        if line.lstrip().startswith("["):
            inside = _path(line)[:2] == path
        if not inside:
            yield line


def _path(header: str) -> tuple[str, ...]:
    """The names in a table's header; () if the line is none."""
    try:
        table: Any = tomllib.loads(header)
    except tomllib.TOMLDecodeError:
        return ()
    names = []
    while isinstance(table, dict) and len(table) == 1:
        ((name, table),) = table.items()
        names.append(name)
    return tuple(names)


def _value(value: object) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    return quoted(str(value))


def _refuse_other(servers: Mapping[str, object], name: str, entry: Entry, *, force: bool) -> None:
    if name in servers and servers[name] != entry and not force:
        raise ConflictError(
            f"there is another server called {name}", fix="--name another one, or --force to replace it"
        )


def rendered(client: Client, name: str, entry: Entry, inputs: Sequence[Entry]) -> str:
    """What a file with nothing else in it would be."""
    return with_entry(client, "", name, entry, inputs, force=False)
