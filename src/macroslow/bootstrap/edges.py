"""The edges: the gate over HTTP and the control socket, and their life from start to end."""

import asyncio
import logging
import os
import signal
import socket
from collections import ChainMap
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from macroslow import __version__, control
from macroslow.authn.addresses import read_network
from macroslow.authn.principal import THE_GATEWAY
from macroslow.bootstrap import administrators
from macroslow.bootstrap.checks import tls_of
from macroslow.bootstrap.core import Core
from macroslow.bootstrap.gateway import Gateway, open_gateway
from macroslow.bootstrap.machine import clock, entropy
from macroslow.bootstrap.telemetry import peers
from macroslow.errors import ConfigurationError
from macroslow.metering.budgets import Scope as BudgetScope
from macroslow.metering.money import usd
from macroslow.services.calls.gen_ai import Peer
from macroslow.services.calls.trace_calls import TraceCalls
from macroslow.services.documents.agent_tools import AgentTools
from macroslow.services.identity.withdraw_ended import WithdrawEnded
from macroslow.services.spending.read_figures import ReadFigures
from macroslow.settings import Settings, load
from macroslow.settings.catalogue import names_in_vain
from macroslow.settings.sections import is_exposed
from macroslow.tlog.event import Event, EventType
from macroslow.tlog.ports import Append
from macroslow.web.application import Application
from macroslow.web.connection import Bounds
from macroslow.web.forwarded import TrustedProxies
from macroslow.web.gate import Gate, GateSettings
from macroslow.web.lifecycle import Lifecycle
from macroslow.web.mcp_endpoint import MCPEndpoint
from macroslow.web.messages import ASGIApp, Receive, Scope, Send
from macroslow.web.metrics import Metrics
from macroslow.web.routes import ROUTES
from macroslow.web.serve import bind
from macroslow.web.serve import serve as serve_gate
from macroslow.workflow.sandbox import Level

log: Final = logging.getLogger("macroslow.server")
PLAIN_HTTP: Final = (
    "plain HTTP, and not for this machine alone: keys can be read on the way (see [server.tls])"
)


@dataclass(frozen=True, slots=True)
class Edges:
    """The clients' gate, the administrators', and what belongs to them."""

    gate: Gate
    administrators: Gate
    lifecycle: Lifecycle


@asynccontextmanager
async def open_edges(gateway: Gateway) -> AsyncIterator[Edges]:
    """Build the gate, open the control socket and keep the tasks that serve both."""
    core, settings = gateway.core, gateway.core.settings
    lifecycle = Lifecycle()
    mcp = MCPEndpoint(
        _tools(gateway).handlers, version=__version__, max_body_bytes=settings.server.max_body_bytes
    )
    application = _application(gateway, mcp, lifecycle)
    gate = Gate(
        application,
        ROUTES,
        gateway.authenticate,
        gateway.security,
        clock,
        entropy,
        GateSettings(
            hosts=settings.server.hosts,
            max_body_bytes=settings.server.max_body_bytes,
            bytes_in_flight=settings.server.in_flight_bytes,
            body_deadline_s=settings.server.receive_timeout_s,
            requests_per_minute=settings.keys.requests_per_minute,
        ),
    )
    await _note(core, EventType.SERVER_STARTED, {"version": __version__, "sandbox": gateway.sandbox.backend})
    log.info(
        "macroslow %s starts: mode %s, sandbox %s, state %s",
        __version__,
        settings.gateway.mode,
        gateway.sandbox.backend,
        settings.state_folder,
    )
    await core.checkpoints.newest()  # so that what a crash left unsigned is signed from here on
    of_administrators = administrators.gate_of(gateway, application)
    holders = (gate, of_administrators, application.answer_once)
    ending = WithdrawEnded(gateway.authenticate.admits, [each.withdraw for each in holders])
    beside = {asyncio.create_task(each.run()) for each in (gateway.security, ending)}
    try:
        async with (
            gateway.watches.running(),
            control.serve_control(core.folder.control_socket, administrators.operator(gateway)),
        ):
            yield Edges(gate, of_administrators, lifecycle)
    finally:
        for task in beside:
            task.cancel()
        await asyncio.wait(beside)
        await mcp.close()
        await gateway.security.flush(closing=True)
        await _note(core, EventType.SERVER_STOPPED, {"version": __version__})
        log.info("macroslow stopped")


def _application(gateway: Gateway, mcp: MCPEndpoint, lifecycle: Lifecycle) -> Application:
    books, governor = gateway.core.books, gateway.governor
    known = peers(gateway.core.settings)
    metrics = _metrics(gateway, known)
    governor.watchers.append(metrics.model_call)
    governor.refusals.append(gateway.watches.budgets.refused)
    if (spans := gateway.watches.spans) is not None:
        ratio = gateway.core.settings.telemetry.sample_ratio
        governor.watchers.append(TraceCalls(spans, clock, known, ratio))
    return Application(
        call_model=governor.call_model,
        answer_once=governor.answer_once,
        models=governor.list_models.for_dialect,
        model=governor.list_models.one,
        count_tokens=governor.count_tokens,
        own_usage=gateway.core.usage.own,
        execute_document=gateway.execute,
        validate_document=gateway.validate,
        runs=gateway.runs,
        info=partial(_info, gateway),
        ready=list,
        checkpoint=gateway.core.checkpoints.newest,
        figures=ReadFigures(books, clock, _named_tags(gateway.core.settings)),
        mcp=mcp,
        metrics=metrics,
        lifecycle=lifecycle,
        guessing=gateway.watches.guessing,
    )


def _metrics(gateway: Gateway, known: Mapping[str, Peer]) -> Metrics:
    watches = gateway.watches
    spans = watches.spans
    return Metrics(
        alerts=ChainMap(watches.budgets.raised, watches.guessing.raised),
        lines=gateway.governor.admission.report,
        messages=lambda: {"delivered": watches.alerts.delivered, "given_up": watches.alerts.given_up},
        spans=dict if spans is None else lambda: spans.counts,
        peers=known,
    )


def _named_tags(settings: Settings) -> frozenset[str]:
    """The tags that the operator's budgets name."""
    return frozenset(rule.name for rule in settings.budget_rules if rule.scope is BudgetScope.TAG)


def _tools(gateway: Gateway) -> AgentTools:
    return AgentTools(
        gateway.execute, gateway.validate, gateway.governor.call_model, gateway.core.books, entropy
    )


def _info(gateway: Gateway) -> dict[str, object]:
    settings = gateway.core.settings
    return {
        "name": settings.gateway.name,
        "version": __version__,
        "profile": settings.gateway.profile,
        "mode": settings.gateway.mode,
        "signatures": settings.signature_rule,
        "sandbox": {"backend": gateway.sandbox.backend, "level": gateway.sandbox.level.value},
        "providers": {
            name: {"kind": p.kind, "emulator": p.emulator} for name, p in settings.providers.items()
        },
        "apis": sorted(settings.apis),
        "log": {"origin": settings.log_origin, "key_fingerprint": gateway.core.keys.log.public.fingerprint},
    }


async def _note(core: Core, event_type: EventType, fields: Mapping[str, object]) -> None:
    """One entry about the gateway itself."""
    await core.books.commit(Append(Event(event_type, clock.now_ns(), THE_GATEWAY, fields)))


@dataclass(frozen=True, slots=True)
class Started:
    """What the operator is told once the gateway serves."""

    url: str
    sandbox: str
    notes: tuple[str, ...]


async def serve(settings: Settings, announce: Callable[[Started], None]) -> None:
    """Serve until SIGINT or SIGTERM, then end in order. Raises ConfigurationError if it cannot start."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    tls = tls_of(settings)
    sockets = bind(settings.server.host, settings.server.port)
    grace_s = settings.server.shutdown_grace_s
    async with (
        open_gateway(settings) as gateway,
        open_edges(gateway) as edges,
        administrators.serving(settings, edges.administrators, tls),
        serve_gate(
            edges.gate,
            sockets,
            edges.lifecycle,
            bounds=_bounds(settings),
            refused=edges.gate.refused,
            tls=tls,
            grace_s=grace_s,
        ),
    ):
        announce(_started(gateway, sockets[0]))
        warn_of_exposure(settings)
        await stop.wait()
        log.info("macroslow stops: requests under way have %g s", grace_s)


def warn_of_exposure(settings: Settings) -> None:
    """Say it in the log too: what a start prints is not kept where logs are."""
    if is_exposed(settings.server):
        log.warning("%s", PLAIN_HTTP)


def _bounds(settings: Settings) -> Bounds:
    networks = [read_network(network) for network in settings.server.trusted_proxies]
    return Bounds(connections=settings.server.connections, proxies=TrustedProxies(networks))


def _started(gateway: Gateway, listener: socket.socket) -> Started:
    host, port = listener.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    box, settings, recovered = gateway.sandbox, gateway.core.settings, gateway.core.recovered
    notes = [f"state {settings.state_folder}, documents' signatures {settings.signature_rule}"]
    if settings.observes:
        notes.append("mode observe: NO budget refuses and no call waits; everything is only counted")
    if box.level is Level.NONE:
        notes.append("no sandbox works here: code blocks are refused (macroslow doctor says why)")
    else:
        notes.append(f"sandbox {box.backend} ({box.level})")
    if is_exposed(settings.server):
        notes.append(PLAIN_HTTP)
    if settings.administration.listen is not None:
        notes.append(f"administration on {settings.administration.listen}, for keys with a scope admin:…")
    if not settings.providers:
        notes.append("no provider is configured: model calls are refused (macroslow init writes one)")
    notes += names_in_vain(settings, gateway.governor.call_model.quote.catalogue)
    if recovered.calls or recovered.runs:
        notes.append(
            f"after a crash: {recovered.calls} calls charged in full (${usd(recovered.usd_micros)}),"
            f" {recovered.runs} runs reported as interrupted"
        )
    scheme = "http" if settings.server.tls is None else "https"
    return Started(f"{scheme}://{shown}:{port}", box.level.value, tuple(notes))


def create_app(config: Settings | Path | None = None) -> ASGIApp:
    """The gateway as an ASGI application; its lifespan opens and closes everything.

    `config` is a configuration file, or what was read from one; None: as commands find it.
    """
    settings = config if isinstance(config, Settings) else load(config, os.environ)
    serving: list[Edges] = []  # one while the lifespan lasts

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _live(settings, serving, receive, send)
        elif serving:
            await serving[0].gate(scope, receive, send)
        else:
            raise RuntimeError("the gateway is not open: serve this application with its lifespan on")

    return app


async def _live(settings: Settings, serving: list[Edges], receive: Receive, send: Send) -> None:
    """Open the gateway, tell the server, and close it when the server says so or goes away."""
    await receive()
    async with AsyncExitStack() as stack:
        try:
            gateway = await stack.enter_async_context(open_gateway(settings))
            edges = await stack.enter_async_context(open_edges(gateway))
        except ConfigurationError as error:
            told = "; ".join([error.detail, *(problem.message for problem in error.problems)])
            await send({"type": "lifespan.startup.failed", "message": told})
            return
        serving.append(edges)
        edges.lifecycle.serve()
        try:
            await send({"type": "lifespan.startup.complete"})
            await receive()
        finally:
            edges.lifecycle.stop()
            serving.clear()
    await send({"type": "lifespan.shutdown.complete"})
