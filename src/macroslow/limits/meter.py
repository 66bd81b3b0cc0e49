"""One thing that a provider counts in a minute (requests, or tokens), by every way it may count it.

How a provider counts is unknown at first. So several accounts are kept side by side, each exactly what
that provider would have: a sliding window and a bucket, of the most that calls may use and of what
they did use. Admission goes by the strictest that may be true: no sliding window of a minute holds
more than the limit, and every other way of counting allows that (a fixed minute is one such window, and
a bucket that refills evenly never runs dry of it), charged with the most. Reports of the provider (see
`limits.evidence`) let it go by a more generous account; a report of more use than ours brings the
strict one back and adds the difference.

Reports come with answers, and who has spent a minute's tokens at once gets none until the minute is over.
So in the first minute, where there is something to learn, the last quarter of the limit goes evenly.

Pure state; times are `now_ns` of one clock.
"""

from typing import Any, Final

from macroslow.limits.admission import Charge, Window, per_minute
from macroslow.limits.bucket import NOTHING_TAKEN, Bucket, Taken, burst_of
from macroslow.limits.evidence import LEAST_NS, BucketSign, FixedSign, Streak
from macroslow.limits.gcra import Limit
from macroslow.limits.reported import Figures
from macroslow.limits.slots import Slots
from macroslow.ports import MINUTE_NS, NS_PER_S

SLOT_NS: Final = NS_PER_S // 4
ARRIVAL_NS: Final = NS_PER_S  # from being let in here to being counted there, at most
COLD_NS: Final = 2 * NS_PER_S  # so much more while no answer has come: connections and caches are cold
LAG_NS: Final = 2 * NS_PER_S  # how old a report may be besides
REMEMBER_NS: Final = 10 * NS_PER_S
LAST_SHARE: Final = 4  # a quarter of the limit goes evenly
ERROR_SHARE: Final = 100  # of the limit: what a report may be off


class Meter:
    """The accounts of one limit. `window` and `charge` None: to be learned."""

    def __init__(self, name: str, bound: int | None, window: Window | None, charge: Charge | None) -> None:
        """`bound` is the operator's limit; None: as reported, and nothing limits until then."""
        self.name = name
        self.limit: Limit | None = None
        self.slots = Slots(MINUTE_NS, SLOT_NS, ARRIVAL_NS, REMEMBER_NS, COLD_NS)
        self._bound = bound
        self._window = window
        self._charge = charge
        self._most = charge is not Charge.USED  # admission goes by the most that calls may use
        self._bucket: Bucket | None = None  # while admission goes by it
        self._bucket_sign = BucketSign(Streak())
        self._fixed_sign = FixedSign(Streak())
        self._only_used = Streak()
        self._learns = charge is None and window is not Window.BUCKET
        self._learnt_ns: int | None = None  # a minute after the first call
        self._even_ns = 0  # when the next unit of the last quarter may go
        if bound is not None:
            self._set_limit(bound, 0)

    @property
    def window(self) -> Window:
        """The kind of account that admission goes by."""
        return Window.SLIDING if self._bucket is None else Window.BUCKET

    @property
    def charge(self) -> Charge:
        """What of a call that account holds."""
        return Charge.MOST if self._most else Charge.USED

    def remaining(self, now_ns: int) -> int:
        """Units that could be let in now; below 0 after calls that used more than they were let in with.

        Only with a limit.
        """
        return self._left(_known(self.limit), now_ns)

    def _left(self, limit: Limit, now_ns: int) -> int:
        if self._bucket is not None:
            return limit.burst - self._bucket.lacks(now_ns, most=self._most)
        self.slots.advance(now_ns)
        return limit.count - self.slots.taken(most=self._most)

    def _even(self, now_ns: int) -> bool:
        """Whether the last quarter goes evenly."""
        return self._learns and self._bucket is None and (self._learnt_ns is None or now_ns < self._learnt_ns)

    def admits(self, units: int, now_ns: int) -> bool:
        """Whether `units` could be let in now; never more than the limit's burst."""
        limit = self.limit
        if limit is None:
            return True
        remaining = self._left(limit, now_ns)
        if units > remaining or units > limit.burst:
            return False
        return (
            not self._even(now_ns)
            or now_ns >= self._even_ns
            or units <= remaining - limit.count // LAST_SHARE
        )

    def fits_ns(self, units: int, now_ns: int) -> int:
        """When `units` (at most the limit's burst) could be let in, if nothing else is and nothing ends."""
        limit = self.limit
        if limit is None:
            return now_ns
        if self._bucket is not None:
            return self._bucket.fits_ns(units, now_ns, most=self._most)
        self.slots.advance(now_ns)
        fits_ns = self.slots.fits_ns(limit.count - units, now_ns, most=self._most)
        if not self._even(now_ns) or fits_ns >= self._even_ns:
            return fits_ns
        early = limit.count - limit.count // LAST_SHARE - units
        early_ns = self.slots.fits_ns(early, now_ns, most=self._most) if early >= 0 else self._even_ns
        return max(fits_ns, min(early_ns, self._even_ns, self._learnt_ns or self._even_ns))

    def spare(self, units: int, start_ns: int, now_ns: int) -> int | None:
        """What could be let in now so that `units` still fit at `start_ns`; None: anything."""
        limit = self.limit
        if limit is None:
            return None
        if self._bucket is not None:
            return self._bucket.spare(units, start_ns, now_ns, most=self._most)
        spare = limit.count - units - self.slots.left_at(start_ns, most=self._most)
        if not self._even(start_ns):
            return spare
        early = spare - limit.count // LAST_SHARE  # so many, and the first needs nothing of the last quarter
        left = self.remaining(now_ns) - limit.count // LAST_SHARE
        time_ns = start_ns - max(now_ns, self._even_ns)
        even = max(0, left) + time_ns // (LAST_SHARE * limit.interval_ns) if time_ns >= 0 else -1
        return min(spare, max(early, even))

    def take(self, units: int, counted_ns: int, now_ns: int) -> Taken:
        """Let `units` in; what to `end` or `take_back` them with. Whether they fit is the caller's to ask.

        They count from `counted_ns` on, which is now, or COLD_NS later.
        """
        if self._learnt_ns is None:
            self._learnt_ns = now_ns + MINUTE_NS
        limit = self.limit
        if limit is not None and self._even(now_ns):
            last = min(units, units - self._left(limit, now_ns) + limit.count // LAST_SHARE)
            if last > 0:
                cost_ns = min(MINUTE_NS, last * LAST_SHARE * limit.interval_ns)
                self._even_ns = max(self._even_ns, now_ns) + cost_ns
        self.slots.add(counted_ns, units, now_ns)
        return NOTHING_TAKEN if self._bucket is None else self._bucket.take(units, now_ns)

    def end(self, taken_ns: Taken, units: int, counted_ns: int, used: int, now_ns: int) -> None:
        """What was let in as `units` has used `used`."""
        self.slots.end(counted_ns, units, used)
        if self._bucket is not None:
            self._bucket.end(taken_ns, units, used, now_ns)

    def take_back(self, taken_ns: Taken, units: int, counted_ns: int, now_ns: int) -> None:
        """What was let in never went out."""
        self._even_ns = 0
        self.slots.take_back(counted_ns, units)
        if self._bucket is not None:
            self._bucket.take_back(taken_ns, units, now_ns)

    def seed(self, at_ns: int, most: int, used: int) -> None:
        """A call of before our time, let in at `at_ns`; oldest first."""
        self.slots.add(at_ns, most, at_ns)
        self.slots.end(at_ns, most, used)
        if self._bucket is not None:
            self._bucket.note(max(most, used), used, at_ns)

    def doubt(self) -> None:
        """The provider refused what we thought it had room for: believe nothing that was learned."""
        for streak in (self._bucket_sign.streak, self._fixed_sign.streak, self._only_used):
            streak.contradict(at_once=True)
        self._learnt_ns = None
        self._go_by()

    def observe(self, said: Figures, entered_ns: int, now_ns: int) -> None:
        """Learn from the report that came with the answer to a call let in at `entered_ns`."""
        self.slots.advance(now_ns)
        self._set_limit(said.limit if self._bound is None else min(said.limit, self._bound), now_ns)
        self._bucket_sign.observe(said, now_ns)
        self._fixed_sign.observe(said, entered_ns - LAG_NS, now_ns)
        self._go_by()
        if _known(self.limit).count == said.limit:  # else its units come back faster than ours
            self._compare(said, entered_ns, now_ns)
            self._go_by()

    def _go_by(self) -> None:
        """Choose the strictest account that may be true, now that something was learned."""
        self._most = self._charge is not Charge.USED if self._charge else not self._only_used.believed
        bucket = self._bucket_sign.streak.believed if self._window is None else self._window is Window.BUCKET
        if not bucket:
            self._bucket = None
        elif self._bucket is None and self.limit is not None:
            self._bucket = Bucket(self.limit)
            for at_ns, most, used in self.slots.replay():
                self._bucket.note(most, used, at_ns + SLOT_NS + ARRIVAL_NS)

    def _compare(self, said: Figures, entered_ns: int, now_ns: int) -> None:
        error = said.limit // ERROR_SHARE + 1 + said.coarse_units
        most = self._predicted(entered_ns, now_ns, most=True)
        used = self._predicted(entered_ns, now_ns, most=False)
        if most is None or used is None:
            return
        if said.used > used[1] + error:
            self._only_used.contradict(at_once=True)
            self._lower(said.used + error, entered_ns, now_ns, most=True)
        elif said.used < used[0] - error and self._bucket is None:
            self._only_used.contradict()
        elif said.used < most[0] - error:
            known = self._bucket is not None or self._fixed_sign.streak.believed
            # Unless it is known how the provider's minute runs, all of a minute must bear it out.
            self._only_used.bear_out(now_ns, LEAST_NS if known else MINUTE_NS + ARRIVAL_NS)
        self._lower(said.used + error, entered_ns, now_ns, most=False)
        excess = said.used - (most if self._most else used)[1] - error
        if excess > 0:
            self._note(excess, said, now_ns)

    def _lower(self, reported: int, entered_ns: int, now_ns: int, *, most: bool) -> None:
        """A bucket's report is all there is to know of it, but for what it may not have seen yet.

        Our own account only ever errs upwards, and what it errs would stay as long as it is never empty.
        """
        if self._bucket is not None:
            unseen = self.slots.possible(entered_ns - LAG_NS - ARRIVAL_NS, most=most) + self.slots.open
            self._bucket.lower(reported + unseen, now_ns, most=most)

    def _predicted(self, entered_ns: int, now_ns: int, *, most: bool) -> tuple[int, int] | None:
        """The least and the most use that a report can show if this account is right; None: unknown.

        The report is of some moment between a lag before the call arrived and now.
        """
        early_ns = entered_ns - LAG_NS
        if self._bucket is not None:
            lacks = self._bucket.lacks(now_ns, most=most)
            recent = self.slots.possible(early_ns - ARRIVAL_NS, most=most) + (0 if most else self.slots.open)
            return max(0, lacks - recent), lacks + self._bucket.gains(now_ns - early_ns)
        least_ns, most_ns = now_ns - MINUTE_NS, early_ns - MINUTE_NS - ARRIVAL_NS
        if self._fixed_sign.streak.believed:
            first_ns, last_ns = self._fixed_sign.began_ns(now_ns)
            if last_ns >= early_ns:
                return None
            least_ns, most_ns = last_ns, first_ns - ARRIVAL_NS
        if not self.slots.remembers(most_ns):
            return None
        certain = self.slots.certain(least_ns, early_ns - ARRIVAL_NS, most=most)
        return certain, self.slots.possible(most_ns, most=most)

    def _note(self, excess: int, said: Figures, now_ns: int) -> None:
        """Somebody else uses this account too, or what it used before our time."""
        lasts_ns = MINUTE_NS if said.reset_ns is None else min(MINUTE_NS, said.reset_ns)
        self.slots.note(now_ns + lasts_ns - MINUTE_NS, excess)
        if self._bucket is not None:
            self._bucket.note(excess, excess, now_ns)

    def _set_limit(self, count: int, now_ns: int) -> None:
        before = self.limit
        if before is not None and before.count == count:
            return
        self.limit = per_minute(self.name, count, burst_of(count))
        if self._bucket is None:
            self._go_by()
            return
        most, used = self._bucket.lacks(now_ns, most=True), self._bucket.lacks(now_ns, most=False)
        self._bucket = Bucket(self.limit)
        self._bucket.note(most, used, now_ns)

    def state(self) -> list[Any]:
        """All of it, for a store."""
        sign, fixed = self._bucket_sign, self._fixed_sign
        return [
            self.limit and self.limit.count,
            self._bucket and [self._bucket.most_ns, self._bucket.used_ns],
            self.slots.state(),
            [*sign.streak.state(), sign.least_ns, sign.most_ns],
            [*fixed.streak.state(), fixed.least_ns, fixed.most_ns],
            self._only_used.state(),
            [self._learnt_ns, self._even_ns],
        ]

    def restore(self, state: list[Any], now_ns: int) -> None:
        """Take up what `state` returned, at a later time, in a fresh meter."""
        count, bucket, slots, sign, fixed, only_used, even = state
        self.slots.restore(slots, now_ns)
        self._bucket_sign = BucketSign(Streak.of(sign[:4]), *sign[4:])
        self._fixed_sign = FixedSign(Streak.of(fixed[:4]), *fixed[4:])
        self._only_used = Streak.of(only_used)
        self._learnt_ns, self._even_ns = even
        if count is not None:
            self._set_limit(count if self._bound is None else min(count, self._bound), now_ns)
        self._go_by()
        if bucket is not None and self._bucket is not None:
            self._bucket.most_ns, self._bucket.used_ns = bucket


def _known(limit: Limit | None) -> Limit:
    if limit is None:
        raise ValueError("nothing limits this yet")
    return limit
