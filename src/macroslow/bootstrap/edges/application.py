"""What the handlers can ask for, and what counts their answers, made of an open gateway."""

from collections import ChainMap
from collections.abc import Mapping
from functools import partial
from urllib.parse import urlsplit

from macroslow import __version__
from macroslow.bootstrap.gateway import Gateway
from macroslow.bootstrap.machine import clock
from macroslow.bootstrap.watching.telemetry import peers
from macroslow.metering.budgets import Scope as BudgetScope
from macroslow.services.calls.gen_ai import Peer
from macroslow.services.calls.trace_calls import TraceCalls
from macroslow.services.proofs.kept_receipts import KeptReceipts
from macroslow.services.proofs.read_tiles import ReadTiles
from macroslow.services.spending.read_figures import ReadFigures
from macroslow.settings import Settings
from macroslow.tlog.tiles import CHECKPOINT
from macroslow.web.application import Application
from macroslow.web.lifecycle import Lifecycle
from macroslow.web.mcp.endpoint import MCPEndpoint
from macroslow.web.metrics import Metrics
from macroslow.web.protected_resource import ProtectedResource
from macroslow.web.upstream_metrics import UpstreamMetrics


def application_of(gateway: Gateway, mcp: MCPEndpoint, lifecycle: Lifecycle, serves: str) -> Application:
    """Wire it, and have metrics and traces hear of each call. `serves` is what GET /info says of the mode."""
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
        info=partial(_info, gateway, serves),
        ready=gateway.core.health.reasons,
        checkpoint=partial(log_file, CHECKPOINT),
        tile=log_file,
        figures=ReadFigures(books, clock, _named_tags(gateway.core.settings)),
        mcp=mcp,
        metrics=metrics,
        lifecycle=lifecycle,
        guessing=gateway.watches.guessing,
        protected=protected_resource(gateway.core.settings),
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


def protected_resource(settings: Settings) -> ProtectedResource:
    """/mcp as clients that log in find it: at issuers that have an address, not at those of trials."""
    issuers = [one for one in settings.auth.issuers.values() if one.keys_url and urlsplit(one.iss).netloc]
    passed = {scope for one in issuers for scope in one.rules("").mapping.pass_scopes}
    return ProtectedResource(
        settings.mcp.resource or "",
        tuple(dict.fromkeys(one.iss for one in issuers)),
        tuple(sorted(passed)),
        settings.gateway.name,
    )


def _info(gateway: Gateway, serves: str) -> dict[str, object]:
    settings, key = gateway.core.settings, gateway.core.signer.keys.current
    return {
        "name": settings.gateway.name,
        "version": __version__,
        "profile": settings.gateway.profile,
        "mode": settings.gateway.mode,
        "serves": serves,
        "signatures": settings.signature_rule,
        "sandbox": {"backend": gateway.sandbox.backend, "level": gateway.sandbox.level.value},
        "providers": {
            name: {"kind": p.kind, "emulator": p.emulator} for name, p in settings.providers.items()
        },
        "apis": sorted(settings.apis),
        "log": {"origin": key.origin, "key_fingerprint": key.fingerprint},
    }
