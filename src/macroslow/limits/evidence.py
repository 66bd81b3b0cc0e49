"""What a provider's own reports give away about how it counts.

Ways of counting a minute differ in what they say of their reset:

    bucket     refilled all the time, so full again after used / limit of a minute
    fixed      all of it comes back at one moment, the same in every report until it has passed
    sliding    neither

Only what every report of a few seconds bears out is believed, and reports that contradict it end it.
These signs depend neither on our own account nor on the two clocks, and a lag that all members of a
report share does not hide them.

That a provider counts only what was used, and not the most that was allowed, shows in reports that
are too low for the one and right for the other; here is how many of them it takes.
"""

from dataclasses import dataclass
from typing import Final

from macroslow.limits.reported import Figures
from macroslow.ports import MINUTE_NS, NS_PER_MS, NS_PER_S

LEAST_REPORTS: Final = 4
LEAST_NS: Final = 3 * NS_PER_S
ERROR_NS: Final = 300 * NS_PER_MS  # of a reset, besides its rounding
CONTRADICTIONS: Final = 2  # so many in a row end a belief


@dataclass(slots=True)
class Streak:
    """Reports in a row that bear something out, and whether that is believed."""

    count: int = 0
    since_ns: int = 0
    against: int = 0
    believed: bool = False

    def bear_out(self, now_ns: int, least_ns: int = LEAST_NS) -> None:
        """One more report for it; believed after LEAST_REPORTS over `least_ns`."""
        self.against = 0
        if not self.count:
            self.since_ns = now_ns
        self.count += 1
        self.believed |= self.count >= LEAST_REPORTS and now_ns - self.since_ns >= least_ns

    def contradict(self, *, at_once: bool = False) -> None:
        """One against it."""
        self.count = 0
        self.against += 1
        self.believed &= not at_once and self.against < CONTRADICTIONS

    def state(self) -> list[int]:
        """As integers."""
        return [self.count, self.since_ns, self.against, int(self.believed)]

    @classmethod
    def of(cls, state: list[int]) -> "Streak":
        """What `state` returned."""
        count, since_ns, against, believed = state
        return cls(count, since_ns, against, bool(believed))


@dataclass(slots=True)
class BucketSign:
    """Whether resets are those of a bucket: used / limit of a minute, at different levels of use."""

    streak: Streak
    least_ns: int = 0  # of the resets in the streak
    most_ns: int = 0

    def observe(self, said: Figures, now_ns: int) -> None:
        """Take one report into account, if it can tell anything."""
        if said.reset_ns is None:
            return
        expected_ns = said.used * MINUTE_NS // said.limit
        unit_ns = (1 + said.coarse_units) * MINUTE_NS // said.limit
        error_ns = ERROR_NS + said.coarse_ns + unit_ns
        # A full account looks alike in all ways of counting, an empty one too.
        if not 2 * error_ns < max(expected_ns, said.reset_ns) or said.used * 5 > said.limit * 4:
            return
        if abs(said.reset_ns - expected_ns) > error_ns:
            self.streak.contradict()
            return
        if not self.streak.count:
            self.least_ns = self.most_ns = expected_ns
        self.least_ns, self.most_ns = min(self.least_ns, expected_ns), max(self.most_ns, expected_ns)
        varied = self.most_ns - self.least_ns > 2 * error_ns
        # Where another way of counting meets the bucket's line, it crosses it within twice the error.
        self.streak.bear_out(now_ns, max(LEAST_NS, 4 * error_ns) if varied else MINUTE_NS)


@dataclass(slots=True)
class FixedSign:
    """Whether resets point to one moment in every minute, and to which.

    A report is of some time between `early_ns` and now, so each gives an interval in which the moment
    lies: they must all have a part in common, for longer than a minute, so that it passes once.
    """

    streak: Streak
    least_ns: int = 0
    most_ns: int = 0

    def observe(self, said: Figures, early_ns: int, now_ns: int) -> None:
        """Take one report into account, if it is precise enough."""
        if said.reset_ns is None or not said.used or now_ns - early_ns > MINUTE_NS // 4:
            return
        minutes_ns = (now_ns + said.reset_ns - self.most_ns + MINUTE_NS // 2) // MINUTE_NS * MINUTE_NS
        least_ns = max(self.least_ns, early_ns + said.reset_ns - minutes_ns - said.coarse_ns)
        most_ns = min(self.most_ns, now_ns + said.reset_ns - minutes_ns + said.coarse_ns + ERROR_NS)
        if least_ns > most_ns or not self.streak.count:
            self.streak.contradict(at_once=True)
            least_ns = early_ns + said.reset_ns - said.coarse_ns
            most_ns = now_ns + said.reset_ns + said.coarse_ns + ERROR_NS
        self.least_ns, self.most_ns = least_ns, most_ns
        self.streak.bear_out(now_ns, MINUTE_NS + LEAST_NS)

    def began_ns(self, now_ns: int) -> tuple[int, int]:
        """Between which times the present minute began."""
        earliest_ns = now_ns - (now_ns - self.least_ns) % MINUTE_NS
        return earliest_ns, earliest_ns + self.most_ns - self.least_ns
