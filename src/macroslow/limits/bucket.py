"""A bucket as the provider has it: two virtual clocks, of the most that calls may use and of what they did.

The generic cell rate algorithm of `limits.gcra`, with the decision taken apart from the charge: what
was let in by another account's rules is charged here all the same. The burst is a little below the
limit: a call arrives at the provider a moment after it was let in here, so the provider's account of
a burst runs behind ours by what the rate gives in that moment.
"""

from typing import Final

from macroslow.limits.gcra import Admitted, Limit, settle

BURST_MARGIN: Final = 32  # a thirty-second of a minute: almost two seconds between here and there
Taken = tuple[int, int]
"""Both clocks, of the most and of what was used, after something was taken."""
NOTHING_TAKEN: Final[Taken] = (0, 0)  # before there was a bucket: nothing comes back to it


def burst_of(count: int) -> int:
    """What may go at once where `count` go in a minute."""
    return max(1, count - -(-count // BURST_MARGIN))


class Bucket:
    """How far each clock runs ahead of the present is what the bucket lacks."""

    __slots__ = ("_burst_ns", "_interval_ns", "_limit", "most_ns", "used_ns")

    def __init__(self, limit: Limit, most_ns: int = 0, used_ns: int = 0) -> None:
        self._limit = limit
        self._interval_ns = limit.interval_ns
        self._burst_ns = limit.burst * limit.interval_ns
        self.most_ns = most_ns
        self.used_ns = used_ns

    def fits_ns(self, units: int, now_ns: int, *, most: bool) -> int:
        """When `units` (at most the burst) fit, if nothing else comes."""
        tat_ns = self.most_ns if most else self.used_ns
        return max(now_ns, tat_ns + units * self._interval_ns - self._burst_ns)

    def spare(self, units: int, start_ns: int, now_ns: int, *, most: bool) -> int:
        """What may be taken now so that `units` still fit at `start_ns`."""
        tat_ns = max(now_ns, self.most_ns if most else self.used_ns)
        return (start_ns - tat_ns + self._burst_ns) // self._interval_ns - units

    def lacks(self, now_ns: int, *, most: bool) -> int:
        """Units that are not there, a started one counted in full."""
        tat_ns = self.most_ns if most else self.used_ns
        return -(-max(0, tat_ns - now_ns) // self._interval_ns)

    def gains(self, time_ns: int) -> int:
        """Units that come back in that time, at most."""
        return time_ns // self._interval_ns + 1

    def take(self, units: int, now_ns: int) -> Taken:
        """Take `units`, whether they fit or not; what to `end` or `take_back` them with."""
        cost_ns = units * self._interval_ns
        self.most_ns = max(self.most_ns, now_ns) + cost_ns
        self.used_ns = max(self.used_ns, now_ns) + cost_ns
        return self.most_ns, self.used_ns

    def end(self, taken_ns: Taken, units: int, used: int, now_ns: int) -> None:
        """What was taken as `units` has used `used`."""
        self.used_ns = settle(self._limit, self.used_ns, now_ns, Admitted(taken_ns[1], units), used)
        if used > units:
            self.most_ns = max(self.most_ns, now_ns) + (used - units) * self._interval_ns

    def take_back(self, taken_ns: Taken, units: int, now_ns: int) -> None:
        """What was taken never went out."""
        most_ns, used_ns = taken_ns
        self.most_ns = settle(self._limit, self.most_ns, now_ns, Admitted(most_ns, units), 0)
        self.used_ns = settle(self._limit, self.used_ns, now_ns, Admitted(used_ns, units), 0)

    def lower(self, lacks: int, now_ns: int, *, most: bool) -> None:
        """It lacks no more than that."""
        if most:
            self.most_ns = min(self.most_ns, now_ns + lacks * self._interval_ns)
        else:
            self.used_ns = min(self.used_ns, now_ns + lacks * self._interval_ns)

    def note(self, most: int, used: int, at_ns: int) -> None:
        """A call that is over, let in at `at_ns`."""
        self.most_ns = max(self.most_ns, at_ns) + most * self._interval_ns
        self.used_ns = max(self.used_ns, at_ns) + used * self._interval_ns
