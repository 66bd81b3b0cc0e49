"""The section [log]: the audit log's name, its dials, and third parties that vouch for it."""

from typing import Annotated

from pydantic import Field

from macroslow.ports import DAY_NS
from macroslow.settings.section import Section
from macroslow.tlog.event import EventClass


class HoldDays(Section):
    """For how long an erased person's entries of a class are held after the newest of them; 0: not at all."""

    security: Annotated[int, Field(ge=0, le=36_500)] = 365
    administration: Annotated[int, Field(ge=0, le=36_500)] = 2190
    activity: Annotated[int, Field(ge=0, le=36_500)] = 0

    def in_ns(self) -> dict[EventClass, int]:
        """The same of each class, in nanoseconds."""
        return {each: getattr(self, each.name.lower()) * DAY_NS for each in EventClass}


class Log(Section):
    """The audit log: its name in checkpoints, and whether everybody may read its tiles."""

    origin: Annotated[str, Field(pattern=r"^[!-*,-~]{1,200}$")] | None = None  # C2SP: no space, no plus
    disk_reserve_mib: Annotated[int, Field(ge=0, le=1024 * 1024)] = 256
    high_water: Annotated[str, Field(min_length=1)] | None = None  # a folder; "off": no mark is kept
    public: bool = False
    hold_days: HoldDays = HoldDays()
