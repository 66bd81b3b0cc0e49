"""The process of `macroslow serve` that listens: what it says, and what it asks of the system."""

import asyncio
import contextlib
import ctypes
import resource
from collections.abc import Callable, Mapping
from typing import Final

import click
import uvloop

from macroslow.bootstrap.edges.conformance import CONFORMANCE, throw_away
from macroslow.bootstrap.edges.modes import PRODUCTION, Mode
from macroslow.bootstrap.edges.serving import Started
from macroslow.bootstrap.edges.serving import serve as serve_gateway
from macroslow.cli._places import hidden
from macroslow.cli.console.logging import log_to_stderr
from macroslow.cli.console.output import emit
from macroslow.settings import Settings

_M_ARENA_MAX: Final = -8  # glibc, malloc.h


def serve_clients(load: Callable[[Mapping[str, object]], Settings], *, as_json: bool) -> None:
    """Serve as configured."""
    _serve(load({}), PRODUCTION, as_json=as_json)


def serve_suites(load: Callable[[Mapping[str, object]], Settings], *, as_json: bool) -> None:
    """Serve the conformance suites, with settings of their own."""
    with throw_away(load) as settings:
        _serve(settings, CONFORMANCE, as_json=as_json)


def _serve(settings: Settings, mode: Mode, *, as_json: bool) -> None:
    log_to_stderr(settings.server.log_level, settings.server.log_format)

    for warning in hidden(settings):
        click.echo(f"warning: {warning}", err=True)

    def announce(started: Started) -> None:
        if as_json:
            state = str(settings.state_folder)
            emit({"url": started.url, "state": state, "sandbox": started.sandbox, "notes": [*started.notes]})
            return
        lines = (f"macroslow listens on {started.url}  (Ctrl-C ends it)", *started.notes)
        click.echo("\n  ".join(lines))  # at once: whoever reads the first line has them all

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
