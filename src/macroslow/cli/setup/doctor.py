"""`macroslow doctor`: what works on this machine, tried for real, and how to repair what does not.

The state is not opened: whether it is whole a start says, and `audit verify`. What signs is looked at, and
the signer of another user asked; nothing is made or changed.
"""

import asyncio
import platform
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import click

from macroslow import __version__
from macroslow.adapters.statefolder import StateFolder
from macroslow.cli._configured import config_option, settings_of
from macroslow.cli._places import problems_of
from macroslow.cli.console.errors import BAD_CONFIGURATION, CHECKED_IS_BAD, problem_lines
from macroslow.cli.console.output import emit, json_option
from macroslow.errors import ConfigurationError
from macroslow.ports import MIB
from macroslow.services.signing.watch_disk import shortage
from macroslow.settings import Settings

if TYPE_CHECKING:
    from macroslow.adapters.sandbox import BackendReport


@click.command()
@config_option
@json_option
def doctor(config_file: Path | None, *, as_json: bool) -> int:
    """Try each sandbox backend, the configuration and its secrets, and look at the room on the disk.

    Exit code 0 if all is well, 1 if code blocks cannot run or the disk is short, 78 if the configuration
    is bad. The state itself is not opened.
    """
    from macroslow.adapters.sandbox import probe

    reports = asyncio.run(probe())
    found = _examined(config_file)
    works = any(report.works for report in reports)
    code = BAD_CONFIGURATION if found.problems else 0 if works and not found.disk else CHECKED_IS_BAD
    if as_json:
        emit(
            {
                "ok": code == 0,
                "version": __version__,
                "python": platform.python_version(),
                "sandbox": [asdict(report) for report in reports],
                **asdict(found),
            }
        )
        return code
    click.echo(f"macroslow {__version__}, Python {platform.python_version()}, {platform.platform()}")
    for line in (*_sandbox_lines(reports), *_room_lines(found), *_server_lines(found)):
        click.echo(line)
    click.echo("configuration " + ("is good" if not found.problems else "is bad"))
    for line in found.problems:
        click.echo(f"    {line}")
    return code


@dataclass(frozen=True, slots=True)
class _Examined:
    """What the configuration says, and what is wrong with it and around it; "" where nothing is.

    `programs` are the commands that it names, each in full, by their MCP server; `approved` is how many items
    of each server were approved, by the file in the state folder.
    """

    problems: list[str]
    disk: str | None = None
    keys: str = ""
    programs: dict[str, str] = field(default_factory=dict)
    approved: dict[str, int] = field(default_factory=dict)


def _sandbox_lines(reports: "Sequence[BackendReport]") -> Iterator[str]:
    for report in reports:
        yield f"sandbox {report.backend:<10} {'works, ' + report.level if report.works else 'does not work'}"
        if not report.works:
            yield f"    {report.reason}"
            if report.repair:
                yield f"    fix: {report.repair}"
    if not any(report.works for report in reports):
        yield "code blocks are refused here; everything else works"


def _room_lines(found: _Examined) -> Iterator[str]:
    if found.disk:
        yield f"no new work would be taken: {found.disk}"
        yield "    fix: free space, or keep less in reserve"
    if found.keys:
        yield found.keys


def _server_lines(found: _Examined) -> Iterator[str]:
    for name, command in found.programs.items():
        yield f"MCP server {name} runs {command}"
    for name, count in found.approved.items():
        if count:
            yield f"MCP server {name}: {count} approved"
        else:
            yield f"MCP server {name} offers nothing"
            yield f"    fix: look at it and approve it: macroslow mcp pins approve {name}"


def _examined(config_file: Path | None) -> _Examined:
    """What is wrong with the configuration, the disk of the state and the place of the keys."""
    from macroslow.bootstrap.confining import expected
    from macroslow.bootstrap.signing.looking import signer_problems

    try:
        settings = settings_of(config_file)
    except ConfigurationError as error:
        return _Examined([*problem_lines(error.problems)] or [error.detail])
    commands = {name: server.command for name, server in settings.mcp.servers.items()}
    return _Examined(
        [*problem_lines(problems_of(settings) or signer_problems(settings))],
        _shortage(settings),
        expected(settings),
        {name: shlex.join(command) for name, command in commands.items() if command},
        _approved(settings),
    )


def _approved(settings: Settings) -> dict[str, int]:
    if not settings.mcp.servers:
        return {}
    from macroslow.adapters.pins_file import PinsFile

    pins = PinsFile(settings.state_folder).load()
    return {name: len(pins.get(name, {})) for name in settings.mcp.servers}


def _shortage(settings: Settings) -> str | None:
    reserve_bytes = settings.log.disk_reserve_mib * MIB
    folder = settings.state_folder.absolute()
    made = next(path for path in (folder, *folder.parents) if path.exists())  # a start makes the rest
    try:
        free_bytes = StateFolder(made).free_bytes()
    except OSError as error:
        return f"the disk of {settings.state_folder} does not answer: {error.strerror}"
    if free_bytes >= reserve_bytes:
        return None
    return shortage(str(settings.state_folder), free_bytes, reserve_bytes)
