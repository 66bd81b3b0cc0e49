"""What goes on about the log while a gateway serves: it is signed, and its witnesses are asked."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial

from macroslow.bootstrap.core import Core
from macroslow.bootstrap.machine import clock, entropy
from macroslow.bootstrap.outward import Outward
from macroslow.services.alerts.send_alerts import Outlet
from macroslow.services.audit.ask_witnesses import AskWitnesses


@dataclass(frozen=True, slots=True)
class WatchedLog:
    """`ask` is None where the configuration names no witness."""

    sign: Callable[[], Awaitable[object]]
    ask: AskWitnesses | None

    def works(self) -> dict[str, Callable[[], Awaitable[object]]]:
        """What is to be kept running, by name."""
        signing = {"the signing of the log": self.sign}
        return signing if self.ask is None else {**signing, "the asking of witnesses": self.ask.run}

    @property
    def raised(self) -> dict[str, int]:
        """Alerts, by kind."""
        return {} if self.ask is None else self.ask.raised


def watch_log(core: Core, outlet: Outlet, outward: Outward) -> WatchedLog:
    """Wire both. With witnesses, no new work is taken from here on until they confirmed the log."""
    settings = core.settings.log
    sign = partial(core.checkpoints.run, settings.checkpoint_window_ms / 1000)
    if not settings.witnesses:
        return WatchedLog(sign, None)
    from macroslow.adapters.witness import HTTPWitness  # here: see Outward

    witnesses = {name: HTTPWitness(name, one.url, outward()) for name, one in settings.witnesses.items()}
    ask = AskWitnesses(
        core.books,
        core.checkpoints,
        witnesses,
        core.health,
        outlet,
        clock,
        entropy,
        gateway=core.settings.gateway.name,
        required=settings.witness_required,
    )
    return WatchedLog(sign, ask)
