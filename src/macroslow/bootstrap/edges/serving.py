"""A process that serves: its sockets and signals around an open gateway and its edges."""

import asyncio
import itertools
import logging
import signal
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from macroslow.adapters.statefolder import prepare
from macroslow.authn.addresses import read_network
from macroslow.bootstrap.checks import tls_of
from macroslow.bootstrap.edges import administrators
from macroslow.bootstrap.edges.modes import PRODUCTION, Mode
from macroslow.bootstrap.edges.opening import open_edges
from macroslow.bootstrap.edges.way import make_way
from macroslow.bootstrap.gateway import Gateway, open_gateway
from macroslow.bootstrap.notes import PLAIN_HTTP, notes_on
from macroslow.bootstrap.state.waiting import START_WAIT_S, Deadline
from macroslow.errors import StateLockedError
from macroslow.settings import Settings
from macroslow.web.connection import Bounds
from macroslow.web.forwarded import TrustedProxies
from macroslow.web.serve import bind
from macroslow.web.serve import serve as serve_gate
from macroslow.web.tls import ServerTLS
from macroslow.workflow.sandbox import Level, Sandbox

log: Final = logging.getLogger("macroslow.server")


@dataclass(frozen=True, slots=True)
class Started:
    """What the operator is told once the gateway serves: where, with which sandbox, and what to know."""

    url: str
    sandbox: str
    notes: tuple[str, ...]


async def serve(settings: Settings, announce: Callable[[Started], None], mode: Mode = PRODUCTION) -> None:
    """Serve until SIGINT or SIGTERM, then end in order. Raises ConfigurationError if it cannot start.

    A gateway that an MCP client's process opened on the same state gives way first.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    tls = tls_of(settings)
    sockets = bind(settings.server.host, settings.server.port)
    waiting = Deadline.after(START_WAIT_S)
    for tried in itertools.count():
        try:
            await _serve(settings, announce, mode, stop, sockets, tls)
            return
        except StateLockedError:
            folder = prepare(settings.state_folder)
            if stop.is_set() or not await make_way(folder, waiting, again=tried > 0):
                raise


async def _serve(
    settings: Settings,
    announce: Callable[[Started], None],
    mode: Mode,
    stop: asyncio.Event,
    sockets: list[socket.socket],
    tls: ServerTLS | None,
) -> None:
    """StateLockedError, before anything else was done, if another process has the state."""
    grace_s = settings.server.shutdown_grace_s
    async with (
        open_gateway(settings, confined=True) as gateway,
        open_edges(gateway, mode) as edges,
        administrators.serving(settings, edges.administrators, tls),
        serve_gate(
            await mode.before(gateway, edges.gate),
            sockets,
            edges.lifecycle,
            bounds=_bounds(settings),
            refused=edges.gate.refused,
            tls=tls,
            grace_s=grace_s,
        ),
    ):
        announce(_started(gateway, sockets[0], mode))
        if settings.is_exposed:  # in the log too: what a start prints is not kept where logs are
            log.warning("%s", PLAIN_HTTP)
        await stop.wait()
        log.info("macroslow stops: requests under way have %g s", grace_s)


def _bounds(settings: Settings) -> Bounds:
    networks = [read_network(network) for network in settings.server.trusted_proxies]
    return Bounds(connections=settings.server.connections, proxies=TrustedProxies(networks))


def _started(gateway: Gateway, listener: socket.socket, mode: Mode) -> Started:
    host, port = listener.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    settings = gateway.core.settings
    scheme = "http" if settings.server.tls is None else "https"
    notes = (
        *mode.notes,
        *(f"no new work is taken: {reason}" for reason in gateway.core.health.reasons()),
        *notes_on(settings, gateway.governor.call_model.quote.catalogue),
        _note_on(gateway.sandbox),
        *gateway.core.recovered.notes,
        *filter(None, (gateway.core.signer.note, gateway.core.key_note, gateway.confinement_note)),
    )
    return Started(f"{scheme}://{shown}:{port}", gateway.sandbox.level.value, notes)


def _note_on(sandbox: Sandbox) -> str:
    if sandbox.level is Level.NONE:
        return "no sandbox works here: code blocks are refused (macroslow doctor says why)"
    return f"sandbox {sandbox.backend} ({sandbox.level})"
