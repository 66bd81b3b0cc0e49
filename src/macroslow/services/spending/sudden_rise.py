"""When spending rises suddenly: an hour of one key against its usual hour.

The usual hour is an eighth of the busiest of the last seven days, as if a day's work were done in
eight hours; or the dearest hour of the clock that was seen since the start, if that was more. An
hour is a sudden rise when it costs more than `factor` usual ones and at least FLOOR_USD_MICROS, of a
key that spent on MIN_DAYS of those days. So nobody is told of a key's first days; a job that spends
a day's money in one hour is told of once after each start.

Pure state over integers: no clock or store here. Amounts in micro-dollars, hours and days since 1970.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from macroslow.metering.money import MICROS_PER_USD

DAYS: Final = 7
MIN_DAYS: Final = 3
WORKING_HOURS: Final = 8
FLOOR_USD_MICROS: Final = MICROS_PER_USD
_REMEMBERED_HOURS: Final = DAYS * 24


@dataclass(frozen=True, slots=True)
class Rise:
    """One hour that is beyond the usual."""

    key: str
    hour: int
    hour_usd_micros: int
    usual_usd_micros: int


@dataclass(slots=True)
class _Seen:
    """What was seen of one key: its total at the hour's beginning, and what earlier hours cost."""

    hour: int
    began_usd_micros: int
    last_usd_micros: int
    hours: dict[int, int] = field(default_factory=dict)


class SuddenRise:
    """Watches totals that only grow. One instance a process; it begins anew with each."""

    def __init__(self, factor: float) -> None:
        """`factor`: how many usual hours are too many; 0: none ever are."""
        self._factor = factor
        self._seen: dict[str, _Seen] = {}

    def look(self, spent: Mapping[str, int], days: Mapping[str, Mapping[int, int]], hour: int) -> list[Rise]:
        """Hours that are sudden rises now, one for each key that has one.

        `spent` are the totals of keys for life, `days` what each spent on each of the last DAYS days.
        Keys that are not in `spent` are forgotten.
        """
        if not self._factor:
            return []
        self._seen = {key: seen for key, seen in self._seen.items() if key in spent}
        rises = (self._rise(key, total, days.get(key, {}), hour) for key, total in spent.items())
        return [rise for rise in rises if rise is not None]

    def _rise(self, key: str, total: int, days: Mapping[int, int], hour: int) -> Rise | None:
        seen = self._seen.setdefault(key, _Seen(hour, total, total))
        if hour != seen.hour:
            _turn(seen, hour)
        seen.last_usd_micros = total
        this_hour = total - seen.began_usd_micros
        if this_hour < FLOOR_USD_MICROS or sum(1 for spent in days.values() if spent > 0) < MIN_DAYS:
            return None
        usual = max(max(days.values()) // WORKING_HOURS, *seen.hours.values(), 1)
        return Rise(key, hour, this_hour, usual) if this_hour > self._factor * usual else None


def _turn(seen: _Seen, hour: int) -> None:
    """Close the hour that was watched and begin another."""
    seen.hours[seen.hour] = seen.last_usd_micros - seen.began_usd_micros
    seen.hours = {at: cost for at, cost in seen.hours.items() if hour - _REMEMBERED_HOURS <= at < hour}
    seen.hour, seen.began_usd_micros = hour, seen.last_usd_micros
