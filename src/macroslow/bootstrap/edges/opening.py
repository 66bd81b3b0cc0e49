"""The edges of an open gateway: the gates over HTTP, the control socket, and what runs beside them."""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Final

from macroslow import __version__, control
from macroslow.authn.principal import Principal
from macroslow.authz import scopes
from macroslow.bootstrap.edges import administrators
from macroslow.bootstrap.edges.application import application_of
from macroslow.bootstrap.edges.modes import PRODUCTION, Mode
from macroslow.bootstrap.edges.way import giving_way
from macroslow.bootstrap.gateway import Gateway
from macroslow.bootstrap.machine import clock, entropy
from macroslow.bootstrap.watching.kept_running import kept_running
from macroslow.metering.ledger import OpenAccount
from macroslow.services.audit.record_mcp_call import RecordMCPCall
from macroslow.services.audit.record_server import RecordServer
from macroslow.services.identity.withdraw_ended import WithdrawEnded
from macroslow.settings import Settings
from macroslow.settings.issuers.auth import DEFAULT_GRANTS
from macroslow.web.application import Application
from macroslow.web.gate import Gate, GateSettings
from macroslow.web.lifecycle import Lifecycle
from macroslow.web.mcp.endpoint import MCPEndpoint
from macroslow.web.mcp.lines import Conversations
from macroslow.web.routes import PUBLIC_LOG_ROUTES, ROUTES

log: Final = logging.getLogger("macroslow.server")
LOCAL: Final = "local"  # who comes by the control socket, as principal and account


@dataclass(frozen=True, slots=True)
class Edges:
    """The clients' gate, the administrators', and what belongs to them."""

    gate: Gate
    administrators: Gate
    lifecycle: Lifecycle


@asynccontextmanager
async def open_edges(
    gateway: Gateway, mode: Mode = PRODUCTION, give_way: Callable[[], None] | None = None
) -> AsyncIterator[Edges]:
    """Build the gates, open the control socket and keep the tasks that serve both.

    `give_way` is called when a gateway that listens wants to be where this one is; None: this one stays.

    The order of closing is a promise: the control socket ends first, then what runs beside the requests, then
    conversations; what was refused and the stop itself go into the log; and that is signed and witnessed.
    """
    core, lifecycle = gateway.core, Lifecycle()
    mcp = _endpoint(gateway, mode)
    application = application_of(gateway, mcp, lifecycle, mode.name)
    gate, of_administrators = _gate(gateway, application, mode), administrators.gate_of(gateway, application)
    record = await _started(gateway)
    await core.checkpoints.sign_all()  # so that what a crash left unsigned is signed from here on
    conversations = await _conversations(gateway, mcp, gate)
    verbs = administrators.operator(gateway)
    performing = verbs if give_way is None else giving_way(verbs, give_way)
    ending = WithdrawEnded(
        gateway.authenticate.admits,
        [gate.withdraw, of_administrators.withdraw, application.answer_once.withdraw],
    )
    async with kept_running(gateway.watches.log.works()):
        try:
            async with (
                kept_running(_beside(gateway, ending)),
                gateway.watches.running(),
                control.serve_control(core.folder.control_socket, performing, conversations),
            ):
                yield Edges(gate, of_administrators, lifecycle)
        finally:
            await mcp.close()
            await gateway.security.flush(closing=True)
            await record.stopped()
            await core.checkpoints.settle()
            log.info("macroslow stopped")


def _endpoint(gateway: Gateway, mode: Mode) -> MCPEndpoint:
    return MCPEndpoint(
        partial(mode.sources, gateway),
        RecordMCPCall(gateway.core.books, clock),
        clock,
        version=__version__,
        max_body_bytes=gateway.core.settings.server.max_body_bytes,
        transport=mode.transport,
    )


def _gate(gateway: Gateway, application: Application, mode: Mode) -> Gate:
    settings = gateway.core.settings
    return Gate(
        application,
        (*(PUBLIC_LOG_ROUTES if settings.log.public else ROUTES), *mode.routes),
        gateway.authenticate,
        gateway.security,
        clock,
        entropy,
        _gate_settings(settings),
    )


async def _started(gateway: Gateway) -> RecordServer:
    """Say that the server starts, in the log that is signed and in its own; it is recorded that it stops."""
    settings, backend = gateway.core.settings, gateway.sandbox.backend
    record = RecordServer(gateway.core.books, clock, __version__)
    await record.started(backend)
    mode, state = settings.gateway.mode, settings.state_folder
    log.info("macroslow %s starts: mode %s, sandbox %s, state %s", __version__, mode, backend, state)
    return record


def _beside(gateway: Gateway, ending: WithdrawEnded) -> Mapping[str, Callable[[], Awaitable[object]]]:
    """What runs beside the requests."""
    works = {"the security log": gateway.security.run, "the watch over ended credentials": ending.run}
    if gateway.upstreams is not None:
        works["the look at other MCP servers"] = gateway.upstreams.watch.run
    return works


def _gate_settings(settings: Settings) -> GateSettings:
    return GateSettings(
        hosts=settings.server.hosts,
        max_body_bytes=settings.server.max_body_bytes,
        bytes_in_flight=settings.server.in_flight_bytes,
        body_deadline_s=settings.server.receive_timeout_s,
        requests_per_minute=settings.keys.requests_per_minute,
        failures_per_minute=settings.server.failures_per_minute,
    )


async def _conversations(gateway: Gateway, mcp: MCPEndpoint, gate: Gate) -> Conversations:
    """MCP over the control socket; who brings no key is this machine's own user."""
    grace_s = gateway.core.settings.server.shutdown_grace_s
    return Conversations(mcp, gate, gateway.authenticate, await _local(gateway), grace_s)


async def _local(gateway: Gateway) -> Principal:
    """This machine's own user as a client of MCP: all that clients may do, and nothing of administration."""
    await gateway.core.books.commit(OpenAccount(LOCAL, None))
    servers = gateway.core.settings.mcp.servers.items()
    theirs = {server.scope_of(name, tool) for name, server in servers for tool in ("", *server.rules)}
    return Principal(LOCAL, LOCAL, scopes=scopes.CLIENT | theirs, grants=DEFAULT_GRANTS)
