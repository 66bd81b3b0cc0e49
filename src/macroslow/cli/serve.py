"""`macroslow serve`: the gateway."""

import asyncio
import contextlib
import ctypes
import os
import resource
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import click
import uvloop

from macroslow.bootstrap.conformance import CONFORMANCE, throw_away
from macroslow.bootstrap.modes import PRODUCTION, Mode
from macroslow.bootstrap.serving import Started
from macroslow.bootstrap.serving import serve as serve_gateway
from macroslow.bootstrap.stdio import KEY_VARIABLE, claim_pipes, serve_stdio
from macroslow.cli._configured import config_option, settings_of
from macroslow.cli._logging import log_to_stderr
from macroslow.cli._output import emit, json_option
from macroslow.cli._places import hidden
from macroslow.settings import Settings

_M_ARENA_MAX: Final = -8  # glibc, malloc.h


@click.command()
@click.option("--listen", metavar="HOST:PORT", help="Where to listen; port 0 chooses one.")
@click.option(
    "--conformance",
    is_flag=True,
    help="Serve what the MCP conformance suites call: on loopback, without configuration, keeping nothing.",
)
@click.option(
    "--stdio",
    is_flag=True,
    help="Serve one MCP client on stdin and stdout, by the gateway of this state or one of its own.",
)
@config_option
@json_option
def serve(
    listen: str | None, config_file: Path | None, *, conformance: bool, stdio: bool, as_json: bool
) -> None:
    """Serve until Ctrl-C or SIGTERM; running requests may end first.

    Prints one line when it is ready. With --stdio it ends with its client, who is the holder of the key in
    MACROSLOW_API_KEY, or this machine's own user.
    """
    if stdio:
        if listen is not None or conformance or as_json:
            raise click.UsageError("--stdio listens nowhere, and says nothing of its own")
        wire = claim_pipes()  # before anything could print
        settings = settings_of(config_file)
        log_to_stderr(settings.server.log_level, settings.server.log_format)
        serve_stdio(settings, wire, os.environ.pop(KEY_VARIABLE, None))
        return

    def load(given: Mapping[str, object]) -> Settings:
        return settings_of(config_file, {"server.listen": listen, **given})

    if conformance:
        with throw_away(load) as settings:
            _serve(settings, CONFORMANCE, as_json=as_json)
    else:
        _serve(load({}), PRODUCTION, as_json=as_json)


def _serve(settings: Settings, mode: Mode, *, as_json: bool) -> None:
    log_to_stderr(settings.server.log_level, settings.server.log_format)

    for warning in hidden(settings):
        click.echo(f"warning: {warning}", err=True)

    def announce(started: Started) -> None:
        if as_json:
            state = str(settings.state_folder)
            emit({"url": started.url, "state": state, "sandbox": started.sandbox, "notes": [*started.notes]})
            return
        click.echo(f"macroslow listens on {started.url}  (Ctrl-C ends it)")
        for line in started.notes:
            click.echo(f"  {line}")

    _allow_connections()
    _share_one_heap()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve_gateway(settings, announce, mode))


def _allow_connections() -> None:
    """As many descriptors as the system lets us have: each open stream takes two."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _share_one_heap() -> None:
    """Have all threads allocate from one heap: those of their own keep what was once needed, 5 MiB in all.

    Most of what they allocate is under the interpreter's lock: they hardly ever wait for each other there.
    """
    with contextlib.suppress(AttributeError):  # another C library than glibc
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)
