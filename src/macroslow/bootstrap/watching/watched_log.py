"""What goes on about the log while a gateway serves: it is signed, cosigned by witnesses, and dated."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial

from macroslow.bootstrap.checks import believed_authorities
from macroslow.bootstrap.machine import clock, entropy
from macroslow.bootstrap.outside.session import Outward
from macroslow.bootstrap.state.core import Core
from macroslow.ports import HOUR_NS, NS_PER_S
from macroslow.services.alerts.send_alerts import Outlet
from macroslow.services.proofs.read_tiles import ReadTiles
from macroslow.services.signing.ask_witnesses import AskWitnesses
from macroslow.services.signing.stamp_log import StampLog
from macroslow.services.signing.watch_signer import WatchSigner
from macroslow.tlog.tiles import CHECKPOINT


@dataclass(frozen=True, slots=True)
class WatchedLog:
    """`ask` is None where the configuration names no witness, `stamp` where it names no authority."""

    sign: Callable[[], Awaitable[object]]
    signer: WatchSigner
    ask: AskWitnesses | None
    stamp: StampLog | None

    def works(self) -> dict[str, Callable[[], Awaitable[object]]]:
        """What is to be kept running, by name."""
        found = {"the signing of the log": self.sign, "the look at the signer": self.signer.run}
        if self.ask is not None:
            found["the asking of witnesses"] = self.ask.run
        if self.stamp is not None:
            found["the time-stamping of the log"] = self.stamp.run
        return found

    @property
    def raised(self) -> dict[str, int]:
        """Alerts, by kind."""
        return {} if self.ask is None else self.ask.raised


def watch_log(core: Core, outlet: Outlet, outward: Outward) -> WatchedLog:
    """Wire all. With witnesses, no new work is taken from here on until they confirmed the log."""
    settings = core.settings.log
    sign = partial(core.checkpoints.run, settings.checkpoint_window_ms / 1000, clock)
    signer = WatchSigner(core.health, lambda: core.signer.alive)
    stamp = _stamping(core, outward)
    if not settings.witnesses:
        return WatchedLog(sign, signer, None, stamp)
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
    return WatchedLog(sign, signer, ask, stamp)


def _stamping(core: Core, outward: Outward) -> StampLog | None:
    """What has the log dated; None where nobody is to be asked."""
    configured, authorities = core.settings.log.timestamps, believed_authorities(core.settings)
    if configured is None or authorities is None:
        return None
    from macroslow.adapters.timestamps import TimestampAuthority  # here: see Outward

    authority = TimestampAuthority(configured.url, authorities, outward(), clock)
    every_s = configured.every_hours * HOUR_NS // NS_PER_S
    published = partial(ReadTiles(core.books, core.checkpoints), CHECKPOINT)
    return StampLog(core.books, published, authority, clock, every_s)
