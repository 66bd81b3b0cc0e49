"""What one account (key) allows us of one model, and how much of it is taken.

Requests and tokens a minute, requests a second (see `Pace`), requests a day, calls at once, and the
time for which the provider has asked to be left alone. A call `fits` when all of them have room;
`fits_ns` is exact if nothing else comes in or ends. Every place is a lease: one that is never given
back (a crash) ends by itself, and what it was let in with stays counted.

Until a limit a minute is known, which the first answer tells, few calls are let in at once, and few
more each second.

Pure state; times are `now_ns` of one clock, and are integers in `state`, which `restore` takes up again.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from macroslow.limits.admission import (
    AccountQuota,
    Charge,
    Ended,
    LimitReport,
    Pace,
    Verdict,
)
from macroslow.limits.bucket import Taken
from macroslow.limits.meter import COLD_NS, Meter
from macroslow.limits.reported import read
from macroslow.limits.slots import Slots
from macroslow.ports import DAY_NS, MINUTE_NS, NS_PER_S

DAY_SLOT_NS: Final = MINUTE_NS
PACE_SLOT_NS: Final = NS_PER_S // 100
PACE_ARRIVAL_NS: Final = NS_PER_S // 2  # from being let in here to being counted there, at most
FIRST_CALLS: Final = 4  # let in at once before anything is known, and as many more each second
OBSERVE_NS: Final = NS_PER_S // 4  # reports in between say little that is new
HOLD_NS: Final = NS_PER_S  # after a refusal that does not say for how long
MAX_HOLD_NS: Final = 600 * NS_PER_S  # whatever it says
LONGEST_CALL_NS: Final = 1800 * NS_PER_S


@dataclass(frozen=True, slots=True)
class Recent:
    """A call of before our start that the provider may still count: its age, and its tokens."""

    age_ns: int
    most_tokens: int
    used_tokens: int


@dataclass(slots=True, eq=False)  # not frozen: one is made per call, and freezing costs a microsecond
class Pass:
    """One call that is in, and from when on it counts. To be given back once: `leave` or `withdraw`."""

    lease: str
    entered_ns: int
    counted_ns: int
    tokens: int
    requests_taken_ns: Taken
    tokens_taken_ns: Taken


@dataclass(frozen=True, slots=True)
class Held:
    """A limit, and until when it keeps a call out. `period_s` is 0 where the limit has none."""

    name: str
    count: int
    period_s: int
    until_ns: int


class Allowance:
    """The limits of one account for one model."""

    def __init__(self, of: AccountQuota, *, lease_ns: int = LONGEST_CALL_NS) -> None:
        quota = of.quota
        self.account = of.account
        self.requests = Meter("requests per minute", quota.rpm, quota.window, Charge.MOST)
        self.tokens = Meter("tokens per minute", quota.tpm, quota.window, quota.charge)
        self.concurrent = quota.concurrent
        self.held_until_ns = 0
        self._paced = quota.pace is not Pace.MINUTE
        # By when a request can have arrived: half a second later, or when its answer begins.
        self._pace = Slots(NS_PER_S, PACE_SLOT_NS, 0, ahead_ns=PACE_ARRIVAL_NS + COLD_NS)
        self._rpd = quota.rpd
        self._day = Slots(DAY_NS, DAY_SLOT_NS, DAY_SLOT_NS) if quota.rpd else None
        self._lease_ns = lease_ns
        self._leases: dict[str, int] = {}  # until when, the oldest first
        self._heard = False
        self._first_ns: int | None = None
        self._observed_ns = 0
        self._refusals = 0

    @property
    def most_tokens(self) -> int | None:
        """The most that one call can ever be let in with; None: no limit is known."""
        return None if self.tokens.limit is None else self.tokens.limit.burst

    def in_flight(self, now_ns: int) -> int:
        """Calls that are in. Leases that have run out are let go."""
        leases = self._leases
        while leases:
            lease = next(iter(leases))
            if leases[lease] > now_ns:
                break
            del leases[lease]
        return len(leases)

    def takes(self, tokens: int) -> bool:
        """Whether a call of `tokens` could ever come in."""
        return self.tokens.limit is None or tokens <= self.tokens.limit.burst

    def admits(self, tokens: int, now_ns: int) -> bool:
        """Whether it `takes` the call, and `fits_ns` is now; quicker than asking when."""
        if now_ns < self.held_until_ns or (
            self.concurrent is not None and self.in_flight(now_ns) >= self.concurrent
        ):
            return False
        requests = self.requests.limit
        if requests is not None:
            if not self.requests.admits(1, now_ns):
                return False
            if self._paced:
                self._pace.advance(now_ns)
                if self._pace.most >= -(-requests.count // 60):
                    return False
        if self.tokens.limit is not None and not self.tokens.admits(tokens, now_ns):
            return False
        if self._day is not None and self._rpd is not None:
            self._day.advance(now_ns)
            if self._day.most >= self._rpd:
                return False
        return self._heard or self._known_ns(now_ns) <= now_ns

    def fits_ns(self, tokens: int, now_ns: int) -> int | None:
        """When a call of `tokens` may come in, if nothing else does; None: when another has left.

        Only for what it `takes`.
        """
        if self.concurrent is not None and self.in_flight(now_ns) >= self.concurrent:
            return None
        fits_ns = max(
            now_ns,
            self.held_until_ns,
            self.requests.fits_ns(1, now_ns),
            self.tokens.fits_ns(tokens, now_ns),
            self._paced_ns(now_ns),
        )
        if self._day is not None and self._rpd is not None:
            self._day.advance(now_ns)
            fits_ns = max(fits_ns, self._day.fits_ns(self._rpd - 1, now_ns, most=True))
        return fits_ns if self._heard else max(fits_ns, self._known_ns(now_ns))

    def surely_ns(self, tokens: int, now_ns: int) -> int:
        """The earliest at which a call of `tokens` may come in, whatever those under way give back."""
        fits_ns = max(self.held_until_ns, self.requests.fits_ns(1, now_ns))
        if self._day is not None and self._rpd is not None:
            self._day.advance(now_ns)
            fits_ns = max(fits_ns, self._day.fits_ns(self._rpd - 1, now_ns, most=True))
        return fits_ns if self.in_flight(now_ns) else max(fits_ns, self.tokens.fits_ns(tokens, now_ns))

    def _paced_ns(self, now_ns: int) -> int:
        """When the second has room for one more request."""
        if not self._paced or self.requests.limit is None:
            return now_ns
        self._pace.advance(now_ns)
        return self._pace.fits_ns(-(-self.requests.limit.count // 60) - 1, now_ns, most=True)

    def _known_ns(self, now_ns: int) -> int:
        """When one more may go while no answer has told a limit yet."""
        if self._first_ns is None or (self.requests.limit is not None and self.tokens.limit is not None):
            return now_ns
        seconds = max(0, now_ns - self._first_ns) // NS_PER_S
        if self.in_flight(now_ns) < FIRST_CALLS * (1 + seconds):
            return now_ns
        return self._first_ns + (seconds + 1) * NS_PER_S

    def enter(self, lease: str, tokens: int, now_ns: int) -> Pass:
        """Let a call in under a name of its own. Whether it fits is the caller's to ask."""
        if self._first_ns is None:
            self._first_ns = now_ns
        self._leases[lease] = now_ns + self._lease_ns
        counted_ns = now_ns if self._heard else now_ns + COLD_NS
        self._pace.add(counted_ns + PACE_ARRIVAL_NS, 1, now_ns)
        if self._day is not None:
            self._day.add(now_ns, 1, now_ns)
        requests_taken_ns = self.requests.take(1, counted_ns, now_ns)
        tokens_taken_ns = self.tokens.take(tokens, counted_ns, now_ns)
        return Pass(lease, now_ns, counted_ns, tokens, requests_taken_ns, tokens_taken_ns)

    def spare(self, tokens: int, start_ns: int, now_ns: int) -> tuple[int | None, int | None]:
        """Requests and tokens that may come in now without delaying a call of `tokens` at `start_ns`."""
        if self.concurrent is not None and self.in_flight(now_ns) + 2 > self.concurrent:
            return 0, 0
        requests = [self.requests.spare(1, start_ns, now_ns)]
        if self._paced and self.requests.limit is not None and start_ns < now_ns + 4 * NS_PER_S:
            left = self._pace.left_at(start_ns, most=True)
            requests.append(-(-self.requests.limit.count // 60) - 1 - left)
        if self._day is not None and self._rpd is not None:
            requests.append(self._rpd - 1 - self._day.left_at(start_ns, most=True))
        few = min((each for each in requests if each is not None), default=None)
        return few, self.tokens.spare(tokens, start_ns, now_ns)

    def heard(self, granted: Pass, headers: Mapping[str, str], now_ns: int, wall_ns: int) -> None:
        """The head of an answer came. `wall_ns` is nanoseconds since 1970."""
        arrival_ns = granted.counted_ns + PACE_ARRIVAL_NS
        if now_ns < arrival_ns:
            self._pace.take_back(arrival_ns, 1)
            self._pace.note(now_ns, 1)
        first, self._heard = not self._heard, True
        if not first and now_ns - self._observed_ns < OBSERVE_NS:
            return
        self._observed_ns = now_ns
        reported = read(headers, wall_ns)
        if reported.requests is not None and not reported.requests.daily:
            self.requests.observe(reported.requests, granted.entered_ns, now_ns)
        if reported.tokens is not None:
            self.tokens.observe(reported.tokens, granted.entered_ns, now_ns)

    def leave(self, granted: Pass, ended: Ended, now_ns: int) -> None:
        """The call is over. What failed or was refused stays counted in full.

        Nothing is changed for one whose lease is over or whose end is known already.
        """
        if self._leases.pop(granted.lease, None) is None:
            return
        used, verdict = ended.used_tokens, ended.verdict
        if verdict is Verdict.LIMITED or verdict is Verdict.FAILED:
            used = max(used, granted.tokens)
        self.requests.end(granted.requests_taken_ns, 1, granted.counted_ns, 1, now_ns)
        self.tokens.end(granted.tokens_taken_ns, granted.tokens, granted.counted_ns, used, now_ns)
        if verdict is Verdict.LIMITED:
            self._hold(ended.retry_after_ns, now_ns)
        elif verdict is Verdict.ANSWERED:
            self._heard, self._refusals = True, 0

    def _hold(self, retry_after_ns: int | None, now_ns: int) -> None:
        asked_ns = HOLD_NS << min(self._refusals, 6) if retry_after_ns is None else retry_after_ns
        self.held_until_ns = max(self.held_until_ns, now_ns + min(asked_ns, MAX_HOLD_NS))
        self._refusals += 1
        self.requests.doubt()
        self.tokens.doubt()

    def withdraw(self, granted: Pass, now_ns: int) -> None:
        """The call never went out."""
        if self._leases.pop(granted.lease, None) is None:
            return
        self._pace.take_back(granted.counted_ns + PACE_ARRIVAL_NS, 1)
        if self._day is not None:
            self._day.take_back(granted.entered_ns, 1)
        self.requests.take_back(granted.requests_taken_ns, 1, granted.counted_ns, now_ns)
        self.tokens.take_back(granted.tokens_taken_ns, granted.tokens, granted.counted_ns, now_ns)

    def renew(self, leases: Iterable[str], now_ns: int) -> None:
        """These calls are still under way."""
        for lease in leases:
            if self._leases.pop(lease, None) is not None:
                self._leases[lease] = now_ns + self._lease_ns

    def seed(self, call: Recent, now_ns: int) -> None:
        """Count a call of before our start; the oldest first."""
        at_ns = now_ns - call.age_ns
        if self._day is not None and call.age_ns < DAY_NS:
            self._day.advance(at_ns)
            self._day.note(at_ns, 1)
        if call.age_ns < 2 * MINUTE_NS:
            self.requests.seed(at_ns, 1, 1)
            self.tokens.seed(at_ns, call.most_tokens, call.used_tokens)

    def limits(self, now_ns: int) -> tuple[LimitReport, ...]:
        """Every limit that is known, as it stands."""
        found = [
            LimitReport(name, meter.limit.count, max(0, meter.remaining(now_ns)))
            for name, meter in (("rpm", self.requests), ("tpm", self.tokens))
            if meter.limit is not None
        ]
        if self._day is not None and self._rpd is not None:
            self._day.advance(now_ns)
            found.append(LimitReport("rpd", self._rpd, max(0, self._rpd - self._day.most)))
        if self.concurrent is not None:
            left = max(0, self.concurrent - self.in_flight(now_ns))
            found.append(LimitReport("concurrent", self.concurrent, left))
        return tuple(found)

    def room(self, now_ns: int) -> float:
        """The share that is left of the limit that has least."""
        return min((each.remaining / each.limit for each in self.limits(now_ns)), default=1.0)

    def held_by(self, tokens: int, now_ns: int) -> Held:
        """What keeps a call of `tokens` out for longest."""
        found = [Held("calls at once", self.concurrent or len(self._leases), 0, now_ns)]
        found += [
            Held(meter.name, meter.limit.count, 60, meter.fits_ns(min(units, meter.limit.burst), now_ns))
            for meter, units in ((self.requests, 1), (self.tokens, tokens))
            if meter.limit is not None
        ]
        if self._day is not None and self._rpd is not None:
            fits_ns = self._day.fits_ns(self._rpd - 1, now_ns, most=True)
            found.append(Held("requests per day", self._rpd, DAY_NS // NS_PER_S, fits_ns))
        found.append(Held("the provider's own refusal", self._refusals, 0, self.held_until_ns))
        return max(found, key=lambda held: held.until_ns)

    def state(self) -> list[Any]:
        """All of it, for a store."""
        day = self._day.state() if self._day is not None else []
        return [
            self.requests.state(),
            self.tokens.state(),
            self._pace.state(),
            day,
            list(self._leases.items()),
            [self.held_until_ns, self._first_ns, self._observed_ns, self._refusals, self._heard],
        ]

    def restore(self, state: list[Any], now_ns: int) -> None:
        """Take up what `state` returned, at a later time, in a fresh allowance."""
        requests, tokens, pace, day, leases, rest = state
        self.requests.restore(requests, now_ns)
        self.tokens.restore(tokens, now_ns)
        self._pace.restore(pace, now_ns)
        if self._day is not None:
            self._day.restore(day, now_ns)
        self._leases = {str(lease): until_ns for lease, until_ns in leases}
        self.held_until_ns, self._first_ns, self._observed_ns, self._refusals, self._heard = rest
