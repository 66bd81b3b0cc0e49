"""One thing that a provider counts in a minute (requests, or tokens), by every way it may count it.

How a provider counts is unknown at first. So several accounts are kept side by side, each exactly what
that provider would have: a sliding window and a bucket, of the most that calls may use and of what
they did use. Admission goes by the strictest that may be true: no sliding window of a minute holds
more than the limit, and every other way of counting allows that (a fixed minute is one such window, and
a bucket that refills evenly never runs dry of it), charged with the most. Reports of the provider (see
`limits.evidence`) let it go by a more generous account; a report of more use than ours brings the
strict one back and adds the difference.

Pure state; times are `now_ns` of one clock.
"""

from typing import Any, Final

from macroslow.limits.admission import MINUTE_NS, Charge, Window, per_minute
from macroslow.limits.evidence import BucketSign, FixedSign, Streak
from macroslow.limits.gcra import Admitted, Limit, settle
from macroslow.limits.reported import Figures
from macroslow.limits.slots import Slots
from macroslow.ports import NS_PER_S

BURST_MARGIN: Final = 32
"""A bucket's burst is a thirty-second below its limit: the provider's account of a burst runs behind
ours by what the rate gives in the time on the way, almost two seconds of it."""

SLOT_NS: Final = NS_PER_S // 4
ARRIVAL_NS: Final = NS_PER_S  # from being let in here to being counted there, at most
LAG_NS: Final = 2 * NS_PER_S  # how old a report may be besides
REMEMBER_NS: Final = 10 * NS_PER_S
ERROR_SHARE: Final = 100  # of the limit: what a report may be off


class Meter:
    """The accounts of one limit. `charge` None: to be learned, like `window`."""

    def __init__(self, name: str, bound: int | None, window: Window | None, charge: Charge | None) -> None:
        """`bound` is the operator's limit; None: as reported, and nothing limits until then."""
        self.name = name
        self.limit: Limit | None = None
        self.slots = Slots(MINUTE_NS, SLOT_NS, ARRIVAL_NS, REMEMBER_NS)
        self._bound = bound
        self._window = window
        self._charge = charge
        self._most_tat_ns = self._used_tat_ns = 0
        self._bucket = BucketSign(Streak())
        self._fixed = FixedSign(Streak())
        self._only_used = Streak()
        if bound is not None:
            self._set_limit(bound, 0)

    @property
    def window(self) -> Window:
        """The kind of account that admission goes by."""
        if self._window is not None:
            return self._window
        return Window.BUCKET if self._bucket.streak.believed else Window.SLIDING

    @property
    def charge(self) -> Charge:
        """What of a call that account holds."""
        if self._charge is not None:
            return self._charge
        return Charge.USED if self._only_used.believed else Charge.MOST

    @property
    def _most(self) -> bool:
        return self.charge is Charge.MOST

    def remaining(self, now_ns: int) -> int:
        """Units that could be let in now; below 0 after calls that used more than they were let in with.

        Only with a limit.
        """
        limit = _known(self.limit)
        self.slots.advance(now_ns)
        if self.window is Window.BUCKET:
            return limit.burst - self._level(now_ns, most=self._most)
        return limit.count - self.slots.taken(most=self._most)

    def admits(self, units: int, now_ns: int) -> bool:
        """Whether `units` could be let in now."""
        return self.limit is None or units <= self.remaining(now_ns)

    def fits_ns(self, units: int, now_ns: int) -> int:
        """When `units` (at most the limit's burst) could be let in, if nothing else is and nothing ends."""
        limit = self.limit
        if limit is None:
            return now_ns
        if self.window is Window.BUCKET:
            tat_ns = self._most_tat_ns if self._most else self._used_tat_ns
            return max(now_ns, tat_ns + (units - limit.burst) * limit.interval_ns)
        self.slots.advance(now_ns)
        return self.slots.fits_ns(limit.count - units, now_ns, most=self._most)

    def spare(self, units: int, start_ns: int, now_ns: int) -> int | None:
        """What could be let in now so that `units` still fit at `start_ns`; None: anything."""
        limit = self.limit
        if limit is None:
            return None
        if self.window is Window.BUCKET:
            tat_ns = max(now_ns, self._most_tat_ns if self._most else self._used_tat_ns)
            return (start_ns - tat_ns) // limit.interval_ns + limit.burst - units
        return limit.count - units - self.slots.left_at(start_ns, most=self._most)

    def take(self, units: int, now_ns: int) -> Admitted | None:
        """Let `units` in. Whether they fit is the caller's to ask."""
        self.slots.advance(now_ns)
        self.slots.add(now_ns, units)
        if self.limit is None:
            return None
        cost_ns = units * self.limit.interval_ns
        self._most_tat_ns = max(self._most_tat_ns, now_ns) + cost_ns
        self._used_tat_ns = max(self._used_tat_ns, now_ns) + cost_ns
        return Admitted(self._used_tat_ns, units)

    def end(self, taken: Admitted | None, units: int, entered_ns: int, used: int, now_ns: int) -> None:
        """What was let in as `units` at `entered_ns` has used `used`."""
        self.slots.advance(now_ns)
        self.slots.end(entered_ns, units, used)
        if self.limit is None or taken is None:
            return
        self._used_tat_ns = settle(self.limit, self._used_tat_ns, now_ns, taken, used)
        if used > units:
            self._most_tat_ns = max(self._most_tat_ns, now_ns) + (used - units) * self.limit.interval_ns

    def take_back(self, taken: Admitted | None, units: int, entered_ns: int, now_ns: int) -> None:
        """What was let in never went out."""
        self.slots.advance(now_ns)
        self.slots.take_back(entered_ns, units)
        if self.limit is not None and taken is not None:
            self._used_tat_ns = settle(self.limit, self._used_tat_ns, now_ns, taken, 0)
            self._most_tat_ns -= min(units * self.limit.interval_ns, max(0, self._most_tat_ns - now_ns))

    def seed(self, at_ns: int, most: int, used: int) -> None:
        """A call of before our time, let in at `at_ns`; oldest first."""
        self.slots.advance(at_ns)
        self.slots.add(at_ns, most)
        self.slots.end(at_ns, most, used)
        if self.limit is not None:
            interval_ns = self.limit.interval_ns
            self._most_tat_ns = max(self._most_tat_ns, at_ns) + max(most, used) * interval_ns
            self._used_tat_ns = max(self._used_tat_ns, at_ns) + used * interval_ns

    def doubt(self) -> None:
        """The provider refused what we thought it had room for: believe nothing that was learned."""
        for streak in (self._bucket.streak, self._fixed.streak, self._only_used):
            streak.contradict(at_once=True)

    def observe(self, said: Figures, entered_ns: int, now_ns: int) -> None:
        """Learn from the report that came with the answer to a call let in at `entered_ns`."""
        self.slots.advance(now_ns)
        self._set_limit(said.limit if self._bound is None else min(said.limit, self._bound), now_ns)
        self._bucket.observe(said, now_ns)
        self._fixed.observe(said, now_ns)
        if _known(self.limit).count == said.limit:  # else its units come back faster than ours
            self._compare(said, entered_ns, now_ns)

    def _compare(self, said: Figures, entered_ns: int, now_ns: int) -> None:
        error = said.limit // ERROR_SHARE + 1 + said.coarse_units
        most = self._predicted(entered_ns, now_ns, most=True)
        used = self._predicted(entered_ns, now_ns, most=False)
        if most is None or used is None:
            return
        if said.used > used[1] + error:
            self._only_used.contradict(at_once=True)
        elif said.used < used[0] - error:
            self._only_used.contradict()
        elif said.used < most[0] - error:
            known = self.window is Window.BUCKET or self._fixed.streak.believed
            # Unless it is known how the provider's minute runs, all of a minute must bear it out.
            least_ns = 3 * NS_PER_S if known else MINUTE_NS + ARRIVAL_NS
            self._only_used.bear_out(now_ns, least_ns)
        excess = said.used - (most if self._most else used)[1] - error
        if excess > 0:
            self._note(excess, said, now_ns)

    def _predicted(self, entered_ns: int, now_ns: int, *, most: bool) -> tuple[int, int] | None:
        """The least and the most use that a report can show if this account is right; None: unknown.

        The report is of some moment between a lag before the call and now.
        """
        limit = _known(self.limit)
        early_ns = entered_ns - LAG_NS
        if self.window is Window.BUCKET:
            level = self._level(now_ns, most=most)
            recent = self.slots.possible(early_ns, most=most) + (0 if most else self.slots.open)
            back = (now_ns - early_ns) // limit.interval_ns + 1
            return max(0, level - recent), min(limit.count, level + back)
        least_ns, most_ns = now_ns - MINUTE_NS, early_ns - MINUTE_NS - ARRIVAL_NS
        if self._fixed.streak.believed:
            began_ns = self._fixed.began_ns(now_ns)
            if began_ns >= early_ns - ARRIVAL_NS:
                return None
            least_ns, most_ns = began_ns, began_ns - ARRIVAL_NS
        if not self.slots.remembers(most_ns):
            return None
        certain = self.slots.certain(least_ns, early_ns, most=most)
        return certain, self.slots.possible(most_ns, most=most)

    def _note(self, excess: int, said: Figures, now_ns: int) -> None:
        """Somebody else uses this account too, or what it used before our time."""
        lasts_ns = MINUTE_NS if said.reset_ns is None else min(MINUTE_NS, said.reset_ns)
        self.slots.note(now_ns + lasts_ns - MINUTE_NS, excess)
        cost_ns = excess * _known(self.limit).interval_ns
        self._most_tat_ns = max(self._most_tat_ns, now_ns) + cost_ns
        self._used_tat_ns = max(self._used_tat_ns, now_ns) + cost_ns

    def _level(self, now_ns: int, *, most: bool) -> int:
        """What the bucket lacks."""
        tat_ns = self._most_tat_ns if most else self._used_tat_ns
        return -(-max(0, tat_ns - now_ns) // _known(self.limit).interval_ns)

    def _set_limit(self, count: int, now_ns: int) -> None:
        if self.limit is not None and self.limit.count == count:
            return
        if self.limit is None:  # what was let in without a limit, as if it were now
            most, used = self.slots.taken(most=True), self.slots.taken(most=False)
        else:
            most, used = self._level(now_ns, most=True), self._level(now_ns, most=False)
        self.limit = per_minute(self.name, count, max(1, count - -(-count // BURST_MARGIN)))
        self._most_tat_ns = now_ns + most * self.limit.interval_ns
        self._used_tat_ns = now_ns + used * self.limit.interval_ns

    def state(self) -> list[Any]:
        """All of it, for a store."""
        return [
            self.limit and self.limit.count,
            self._most_tat_ns,
            self._used_tat_ns,
            self.slots.state(),
            [*self._bucket.streak.state(), self._bucket.least_ns, self._bucket.most_ns],
            [*self._fixed.streak.state(), self._fixed.at_ns],
            self._only_used.state(),
        ]

    def restore(self, state: list[Any], now_ns: int) -> None:
        """Take up what `state` returned, at a later time."""
        count, most_tat_ns, used_tat_ns, slots, bucket, fixed, only_used = state
        if count is not None:
            self._set_limit(count if self._bound is None else min(count, self._bound), now_ns)
        self._most_tat_ns, self._used_tat_ns = most_tat_ns, used_tat_ns
        self.slots.restore(slots, now_ns)
        self._bucket = BucketSign(Streak.of(bucket[:4]), *bucket[4:])
        self._fixed = FixedSign(Streak.of(fixed[:4]), *fixed[4:])
        self._only_used = Streak.of(only_used)


def _known(limit: Limit | None) -> Limit:
    if limit is None:
        raise ValueError("nothing limits this yet")
    return limit
