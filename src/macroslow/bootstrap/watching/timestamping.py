"""Time stamps over the log, where the configuration names an authority."""

from functools import partial

from macroslow.bootstrap.checks import believed_authorities
from macroslow.bootstrap.machine import clock
from macroslow.bootstrap.outside.session import Outward
from macroslow.bootstrap.state.core import Core
from macroslow.ports import HOUR_NS, NS_PER_S
from macroslow.services.proofs.read_tiles import ReadTiles
from macroslow.services.signing.stamp_log import StampLog
from macroslow.tlog.tiles import CHECKPOINT


def stamping(core: Core, outward: Outward) -> StampLog | None:
    """What has the log dated; None where nobody is to be asked."""
    configured, authorities = core.settings.log.timestamps, believed_authorities(core.settings)
    if configured is None or authorities is None:
        return None
    from macroslow.adapters.timestamps import TimestampAuthority  # here: see Outward

    authority = TimestampAuthority(configured.url, authorities, outward(), clock)
    every_s = configured.every_hours * HOUR_NS // NS_PER_S
    published = partial(ReadTiles(core.books, core.checkpoints), CHECKPOINT)
    return StampLog(core.books, published, authority, clock, every_s)
