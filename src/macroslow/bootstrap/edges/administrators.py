"""Administration's two ways in: `control.sock`, always, and a TCP listener where one is configured."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from macroslow.bootstrap.gateway import Gateway
from macroslow.bootstrap.machine import clock, entropy
from macroslow.services.administration import ToldAdministration
from macroslow.settings import Settings
from macroslow.settings.fields import split_listen
from macroslow.web.administration import admin_routes
from macroslow.web.application import Application
from macroslow.web.connection import Bounds
from macroslow.web.gate import Gate, GateSettings
from macroslow.web.serve import bind, serve_beside
from macroslow.web.tls import ServerTLS

CONNECTIONS: Final = 64
REQUESTS_PER_MINUTE: Final = 600
FAILURES_PER_MINUTE: Final = 10


def operator(gateway: Gateway) -> ToldAdministration:
    """The verbs behind `control.sock`."""
    return ToldAdministration(gateway.administration, gateway.security, clock, "control")


def gate_of(gateway: Gateway, application: Application) -> Gate:
    """The gate of the TCP listener: its own table, hosts and credentials, and limits of its own."""
    return Gate(
        application,
        admin_routes(ToldAdministration(gateway.administration, gateway.security, clock, "administration")),
        gateway.authenticate,
        gateway.security,
        clock,
        entropy,
        GateSettings(
            hosts=gateway.core.settings.administration_hosts,
            requests_per_minute=REQUESTS_PER_MINUTE,
            failures_per_minute=FAILURES_PER_MINUTE,
            administrators=True,
        ),
    )


@asynccontextmanager
async def serving(settings: Settings, gate: Gate, tls: ServerTLS | None) -> AsyncIterator[None]:
    """Serve `gate` on the administrators' address while the context lasts, if there is one."""
    listen = settings.administration.listen
    if listen is None:
        yield
        return
    bounds = Bounds(connections=CONNECTIONS, networks=settings.administration.allow)
    sockets = bind(*split_listen(listen), "administration.listen")
    async with serve_beside(gate, sockets, bounds, gate.refused, tls):
        yield
