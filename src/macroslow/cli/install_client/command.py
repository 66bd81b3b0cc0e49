"""`macroslow install-client`: tell an MCP client of this gateway, without giving it a key to keep."""

import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import click
from pydantic import TypeAdapter, ValidationError

from macroslow.cli._configured import KEY_VARIABLE, config_option, require_configured, settings_of
from macroslow.cli.console.output import emit, json_option
from macroslow.cli.install_client._clients import CLIENTS, Client, Server
from macroslow.cli.install_client._files import put, rendered, with_entry
from macroslow.errors import ConflictError
from macroslow.settings import Settings
from macroslow.settings.fields import ResourceURL

_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")


@click.command("install-client")
@click.argument("client", type=click.Choice([*CLIENTS]))
@click.option("--write", is_flag=True, help="Put it into the client's file instead of printing it.")
@click.option(
    "--file", type=click.Path(path_type=Path, dir_okay=False), help="Another file than the usual one."
)
@click.option("--stdio", is_flag=True, help="Have the client start `macroslow serve --stdio`, without a key.")
@click.option("--url", help="Where the client finds /mcp  [default: as configured]")
@click.option("--name", default="macroslow", show_default=True, help="What the client calls the gateway.")
@click.option("--force", is_flag=True, help="Replace another server of that name.")
@config_option
@json_option
def install_client(
    client: str,
    *,
    write: bool,
    file: Path | None,
    stdio: bool,
    url: str | None,
    name: str,
    force: bool,
    config_file: Path | None,
    as_json: bool,
) -> None:
    """Print how CLIENT is told of this gateway, or write it.

    The usual file is .mcp.json for claude, .vscode/mcp.json for vscode, .cursor/mcp.json for cursor and
    mcp.json for inspector, in this folder; for codex it is ~/.codex/config.toml.

    The client reads the key from the variable MACROSLOW_API_KEY, or asks its user for it. All else in its
    file stays; what was there before is kept beside it.
    """
    if not _NAME.fullmatch(name):
        raise click.UsageError("--name takes 1 to 64 letters, digits, - and _.")
    if stdio and url is not None:
        raise click.UsageError("--stdio starts a program, which has no --url")
    settings = settings_of(config_file)
    server = Server(name, "" if stdio else _url(settings, url), _command(settings) if stdio else ())
    kind = CLIENTS[client]
    target = (file or kind.file()).resolve()
    entry, inputs = kind.entry(server), kind.inputs(server)
    said: dict[str, object] = {"client": client, "file": str(target), "entry": entry}
    also = kind.also(server, target)
    if write:
        said |= _written(kind, target, server, force=force)
    if as_json:
        emit(said | {"inputs": [*inputs], "also": also})
    elif write:
        _say_written(target, said)
    else:
        _say(target, rendered(kind, name, entry, inputs), also)
    if as_json:
        return
    if stdio:
        click.echo(
            f"Without a key in {KEY_VARIABLE} it acts as this machine's user, with no budget of its own."
        )
    else:
        click.echo(f"The key is not in it: {kind.title} {_comes_by_it(client, asks=bool(inputs))}.")


def _written(kind: Client, target: Path, server: Server, *, force: bool) -> Mapping[str, object]:
    entry, inputs = kind.entry(server), kind.inputs(server)
    try:
        before = target.read_text(encoding="utf-8") if target.exists() else ""
        after = with_entry(kind, before, server.name, entry, inputs, force=force)
        kept = put(target, after) if after != before else None
    except ConflictError as error:
        raise ConflictError(f"{target}: {error.detail}", fix=error.fix) from None
    except OSError as error:
        raise click.UsageError(
            f"{target} cannot be written: {error.strerror}: --file names another one"
        ) from None
    return {"written": after != before, "backup": kept}


def _comes_by_it(client: str, *, asks: bool) -> str:
    if asks:
        return "asks for it, and keeps it to itself"
    return f"needs the variable {KEY_VARIABLE} (macroslow keys create {client})"


def _say(target: Path, text: str, also: Mapping[str, str]) -> None:
    click.echo(f"In {target}:\n\n{text}")
    for word, line in also.items():
        click.echo(f"{word}: {line}\n")


def _say_written(target: Path, said: Mapping[str, object]) -> None:
    click.echo(f"wrote  {target}" if said["written"] else f"kept   {target} (it says so already)")
    if said["backup"]:
        click.echo(f"kept   {said['backup']} (as it was before)")


def _url(settings: Settings, given: str | None) -> str:
    if given is not None:
        return _checked(given)
    if settings.mcp.resource is not None:
        return settings.mcp.resource
    if urlsplit(settings.server.url).port == 0:
        raise click.UsageError("server.listen lets the system choose the port: name the address with --url.")
    return f"{settings.server.url}/mcp"


def _checked(given: str) -> str:
    """What --url names; an address alone is that of a gateway, which has its agents at /mcp."""
    try:
        url = TypeAdapter(ResourceURL).validate_python(given)
    except ValidationError as error:
        (first, *_) = error.errors(include_url=False, include_input=False)
        raise click.UsageError(f"--url: {first['msg']}") from None
    return f"{url.rstrip('/')}/mcp" if urlsplit(url).path in {"", "/"} else url


def _command(settings: Settings) -> tuple[str, ...]:
    """How a client that knows neither this folder nor this environment starts the gateway."""
    require_configured(settings.source.file is not None)
    beside = Path(sys.executable).with_name("macroslow")
    program = (str(beside),) if beside.exists() else (sys.executable, "-m", "macroslow")
    configured = settings.source.file
    return (*program, "serve", "--stdio", *(("--config", str(configured.resolve())) if configured else ()))
