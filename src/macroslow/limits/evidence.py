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
from macroslow.ports import NS_PER_S

MINUTE_NS: Final = 60 * NS_PER_S
LEAST_REPORTS: Final = 4
LEAST_NS: Final = 3 * NS_PER_S
ERROR_NS: Final = 300 * 10**6  # of a reset, besides its rounding
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
    """Whether resets point to one moment in every minute, and to which."""

    streak: Streak
    at_ns: int = 0

    def observe(self, said: Figures, now_ns: int) -> None:
        """Take one report into account."""
        if said.reset_ns is None or said.reset_ns > MINUTE_NS + said.coarse_ns:
            return
        at_ns = now_ns + said.reset_ns
        off_ns = (at_ns - self.at_ns + MINUTE_NS // 2) % MINUTE_NS - MINUTE_NS // 2
        if not self.streak.count or abs(off_ns) > ERROR_NS + said.coarse_ns:
            if self.streak.count:
                self.streak.contradict(at_once=True)
            self.at_ns = at_ns
        self.streak.bear_out(now_ns)

    def began_ns(self, now_ns: int) -> int:
        """When the present minute began."""
        return now_ns - (now_ns - self.at_ns) % MINUTE_NS
