"""What goes on beside the requests while a gateway serves: it looks after money, keys, alerts and traces."""

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from macroslow.bootstrap.machine import clock, entropy
from macroslow.bootstrap.outside.session import Outward
from macroslow.bootstrap.state.core import Core
from macroslow.bootstrap.watching.kept_running import kept_running
from macroslow.bootstrap.watching.telemetry import span_exporter
from macroslow.bootstrap.watching.watched_log import WatchedLog, watch_log
from macroslow.errors import LogUnavailableError
from macroslow.ports import MIB
from macroslow.secretstore.secret import Secret
from macroslow.services.alerts.send_alerts import SendAlerts
from macroslow.services.calls.reap_reservations import ReapReservations
from macroslow.services.documents.interrupt_runs import InterruptRuns
from macroslow.services.erasure.end_retention import EndRetention
from macroslow.services.identity.alert_guessing import AlertGuessing
from macroslow.services.identity.follow_identities import FollowIdentities
from macroslow.services.identity.note_key_uses import NoteKeyUses
from macroslow.services.recovery.reap_the_dead import ReapTheDead
from macroslow.services.signing.watch_disk import WatchDisk
from macroslow.services.spending.watch_budgets import WatchBudgets
from macroslow.settings import Settings

if TYPE_CHECKING:
    from macroslow.adapters.jwks import FetchedKeys
    from macroslow.adapters.otlp import SpanExporter
    from macroslow.adapters.webhook import WebhookReceiver


@dataclass(frozen=True, slots=True)
class Watches:
    """The watchers of one gateway, not yet running."""

    disk: WatchDisk
    log: WatchedLog
    reap: ReapTheDead
    budgets: WatchBudgets
    alerts: SendAlerts
    guessing: AlertGuessing
    uses: NoteKeyUses
    retention: EndRetention
    follow: FollowIdentities | None
    spans: "SpanExporter | None"
    key_sets: "Sequence[FetchedKeys]"

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Have all but those of the log run; a defect in one of them ends none of the requests."""
        works: dict[str, Callable[[], Awaitable[object]]] = {
            "the look at the disk": self.disk.run,
            "the search for what the dead left": self.reap.run,
            "the watch over budgets": self.budgets.run,
            "sending of alerts": self.alerts.run,
            "the notes of when keys were used": self.uses.run,
            "the end of what is held of who was erased": self.retention.run,
            **{f"fetching of keys {at}": source.run for at, source in enumerate(self.key_sets, 1)},
        }
        if self.spans is not None:
            works["sending of traces"] = self.spans.run
        if self.follow is not None:
            works["the look for identities that others changed"] = self.follow.run
        try:
            async with kept_running(works):
                yield
        finally:
            with suppress(LogUnavailableError):
                await self.uses.flush()
            if self.spans is not None:
                await self.spans.flush()


def watches(
    core: Core,
    secrets: Mapping[str, Secret],
    outward: Outward,
    open_runs: Collection[str],
    key_sets: "Sequence[FetchedKeys]",
) -> Watches:
    """Wire the watchers as the configuration says. ConfigurationError for a secret that cannot sign.

    `open_runs` are those that this process carries out.
    """
    disk = WatchDisk(
        core.health,
        {str(core.folder.path): core.folder.free_bytes},
        core.settings.log.disk_reserve_mib * MIB,
    )
    disk.look()  # before anything is served
    settings = core.settings.alerts
    alerts = SendAlerts(_receivers(core.settings, secrets, outward), entropy)
    budgets = WatchBudgets(
        core.books,
        core.keyring,
        clock,
        alerts,
        gateway=core.settings.gateway.name,
        at_percent=settings.at_percent,
        sudden_rise=settings.sudden_rise,
    )
    alive = core.stores.alive
    reap = ReapTheDead(
        ReapReservations(core.books, clock, alive),
        InterruptRuns(core.books, clock, alive, core.owner, open_runs),
    )
    guessing = AlertGuessing(alerts, clock, entropy, gateway=core.settings.gateway.name)
    uses = NoteKeyUses(core.books, core.keyring)
    retention = EndRetention(core.books, core.erasure, clock)
    changes = core.stores.identities
    follow = None
    if changes is not None:
        follow = FollowIdentities(changes, core.manage_keys, core.manage_revocations, core.signers)
    spans = span_exporter(core.settings, secrets, outward)
    watched_log = watch_log(core, alerts, outward)
    return Watches(
        disk, watched_log, reap, budgets, alerts, guessing, uses, retention, follow, spans, key_sets
    )


def _receivers(
    settings: Settings, secrets: Mapping[str, Secret], outward: Outward
) -> "list[WebhookReceiver]":
    if not settings.alerts.webhooks:
        return []
    from macroslow.adapters.webhook import WebhookReceiver, signing_key  # here: see Outward

    return [
        WebhookReceiver(one.url, signing_key(secrets[f"alerts.webhooks[{n}].secret"]), outward(), clock)
        for n, one in enumerate(settings.alerts.webhooks)
    ]
