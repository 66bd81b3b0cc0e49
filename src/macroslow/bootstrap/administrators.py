"""Administration's two ways in: `control.sock`, always, and a TCP listener where one is configured."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Final

from macroslow.authn.principal import Principal
from macroslow.authz.security import SecurityEvent, Verdict
from macroslow.bootstrap.gateway import Gateway
from macroslow.bootstrap.machine import clock, entropy
from macroslow.services.administration import OPERATOR, QUESTIONS
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


def operator(gateway: Gateway) -> Callable[[str, Mapping[str, object]], Awaitable[object]]:
    """The verbs behind `control.sock`."""

    async def perform(verb: str, arguments: Mapping[str, object]) -> object:
        found = await gateway.administration.perform(verb, arguments)
        _tell(gateway, verb, OPERATOR, "control")
        return found

    return perform


def gate_of(gateway: Gateway, application: Application) -> Gate:
    """The gate of the TCP listener: its own table, hosts and credentials, and limits of its own."""

    async def perform(verb: str, arguments: Mapping[str, object], by: Principal) -> object:
        found = await gateway.administration.perform(verb, arguments, by)
        _tell(gateway, verb, by, "administration")
        return found

    return Gate(
        application,
        admin_routes(perform),
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
    async with serve_beside(gate, bind(*split_listen(listen)), bounds, gate.refused, tls):
        yield


def _tell(gateway: Gateway, verb: str, by: Principal, method: str) -> None:
    """Tell the server's own log what was done, if it was more than a question."""
    if verb not in QUESTIONS:
        event = SecurityEvent(
            clock.now_ns(),
            Verdict.ALLOWED,
            "administration",
            method=method,
            route=verb,
            principal=by.name,
            key_id=by.key_id,
        )
        gateway.security.note(event)
