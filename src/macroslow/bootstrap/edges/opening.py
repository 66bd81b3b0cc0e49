"""The edges of an open gateway: the gates over HTTP, the control socket, and what runs beside them."""

import logging
from collections import ChainMap
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Final
from urllib.parse import urlsplit

from macroslow import __version__, control
from macroslow.authn.principal import Principal
from macroslow.authz import scopes
from macroslow.bootstrap.edges import administrators
from macroslow.bootstrap.edges.modes import PRODUCTION, Mode
from macroslow.bootstrap.edges.way import giving_way
from macroslow.bootstrap.gateway import Gateway
from macroslow.bootstrap.machine import clock, entropy
from macroslow.bootstrap.watching.kept_running import kept_running
from macroslow.bootstrap.watching.telemetry import peers
from macroslow.metering.budgets import Scope as BudgetScope
from macroslow.metering.ledger import OpenAccount
from macroslow.services.audit.record_mcp_call import RecordMCPCall
from macroslow.services.audit.record_server import RecordServer
from macroslow.services.calls.gen_ai import Peer
from macroslow.services.calls.trace_calls import TraceCalls
from macroslow.services.identity.withdraw_ended import WithdrawEnded
from macroslow.services.proofs.kept_receipts import KeptReceipts
from macroslow.services.proofs.read_tiles import ReadTiles
from macroslow.services.spending.read_figures import ReadFigures
from macroslow.settings import Settings
from macroslow.settings.issuers.auth import DEFAULT_GRANTS
from macroslow.tlog.tiles import CHECKPOINT
from macroslow.web.application import Application
from macroslow.web.gate import Gate, GateSettings
from macroslow.web.lifecycle import Lifecycle
from macroslow.web.mcp.endpoint import MCPEndpoint
from macroslow.web.mcp.lines import Conversations
from macroslow.web.metrics import Metrics
from macroslow.web.protected_resource import ProtectedResource
from macroslow.web.routes import PUBLIC_LOG_ROUTES, ROUTES
from macroslow.web.upstream_metrics import UpstreamMetrics

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
    """Build the gate, open the control socket and keep the tasks that serve both.

    `give_way` is called when a gateway that listens wants to be where this one is; None: this one stays.
    """
    core, lifecycle = gateway.core, Lifecycle()
    mcp = _endpoint(gateway, mode)
    application = _application(gateway, mcp, lifecycle, mode)
    gate = _gate(gateway, application, mode)
    of_administrators = administrators.gate_of(gateway, application)
    record = await _started(gateway)
    await core.checkpoints.sign_all()  # so that what a crash left unsigned is signed from here on
    grace_s = core.settings.server.shutdown_grace_s
    conversations = Conversations(mcp, gate, gateway.authenticate, await _local(gateway), grace_s)
    verbs = administrators.operator(gateway)
    performing = verbs if give_way is None else giving_way(verbs, give_way)
    holders = (gate, of_administrators, application.answer_once)
    ending = WithdrawEnded(gateway.authenticate.admits, [each.withdraw for each in holders])
    async with kept_running(gateway.watches.log.works()):  # to the very end, so that it is witnessed whole
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


def _application(gateway: Gateway, mcp: MCPEndpoint, lifecycle: Lifecycle, mode: Mode) -> Application:
    books, governor = gateway.core.books, gateway.governor
    known = peers(gateway.core.settings)
    metrics = _metrics(gateway, known)
    governor.watchers.append(metrics.model_call)
    governor.refusals.append(gateway.watches.budgets.refused)
    if (spans := gateway.watches.spans) is not None:
        ratio = gateway.core.settings.telemetry.sample_ratio
        governor.watchers.append(TraceCalls(spans, clock, known, ratio))
    log_file = ReadTiles(books, gateway.core.checkpoints)
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
        receipts=KeptReceipts(books, gateway.core.prove, clock),
        info=partial(_info, gateway, mode),
        ready=gateway.core.health.reasons,
        checkpoint=partial(log_file, CHECKPOINT),
        tile=log_file,
        figures=ReadFigures(books, clock, _named_tags(gateway.core.settings)),
        mcp=mcp,
        metrics=metrics,
        lifecycle=lifecycle,
        guessing=gateway.watches.guessing,
        protected=_protected(gateway.core.settings),
    )


def _metrics(gateway: Gateway, known: Mapping[str, Peer]) -> Metrics:
    watches = gateway.watches
    spans = watches.spans
    upstreams = gateway.upstreams
    raised = [watches.budgets.raised, watches.guessing.raised, watches.log.raised]
    if upstreams is not None:
        raised.append(upstreams.watch.raised)
    return Metrics(
        alerts=ChainMap(*raised),
        lines=gateway.governor.admission.report,
        messages=lambda: {"delivered": watches.alerts.delivered, "given_up": watches.alerts.given_up},
        spans=dict if spans is None else lambda: spans.counts,
        peers=known,
        upstreams=None if upstreams is None else UpstreamMetrics(upstreams.servers, upstreams.call.counts),
    )


def _named_tags(settings: Settings) -> frozenset[str]:
    """The tags that the operator's budgets name."""
    return frozenset(rule.name for rule in settings.budget_rules if rule.scope is BudgetScope.TAG)


async def _local(gateway: Gateway) -> Principal:
    """This machine's own user as a client of MCP: all that clients may do, and nothing of administration."""
    await gateway.core.books.commit(OpenAccount(LOCAL, None))
    servers = gateway.core.settings.mcp.servers.items()
    theirs = {server.scope_of(name, tool) for name, server in servers for tool in ("", *server.rules)}
    return Principal(LOCAL, LOCAL, scopes=scopes.CLIENT | theirs, grants=DEFAULT_GRANTS)


def _protected(settings: Settings) -> ProtectedResource:
    """/mcp as clients that log in find it: at issuers that have an address, not at those of trials."""
    issuers = [one for one in settings.auth.issuers.values() if one.keys_url and urlsplit(one.iss).netloc]
    passed = {scope for one in issuers for scope in one.rules("").mapping.pass_scopes}
    return ProtectedResource(
        settings.mcp.resource or "",
        tuple(dict.fromkeys(one.iss for one in issuers)),
        tuple(sorted(passed)),
        settings.gateway.name,
    )


def _info(gateway: Gateway, mode: Mode) -> dict[str, object]:
    settings, key = gateway.core.settings, gateway.core.signer.keys.current
    return {
        "name": settings.gateway.name,
        "version": __version__,
        "profile": settings.gateway.profile,
        "mode": settings.gateway.mode,
        "serves": mode.name,
        "signatures": settings.signature_rule,
        "sandbox": {"backend": gateway.sandbox.backend, "level": gateway.sandbox.level.value},
        "providers": {
            name: {"kind": p.kind, "emulator": p.emulator} for name, p in settings.providers.items()
        },
        "apis": sorted(settings.apis),
        "log": {"origin": key.origin, "key_fingerprint": key.fingerprint},
    }
