"""A circuit breaker: who fails is left alone for a while, then tried with one call.

    state       event       condition                           next
    closed      success                                         closed
    closed      failure     too many, in a row or of all        open
    open        time        rested long enough                  half-open
    half-open   admission   no probe is under way               half-open, probing
    half-open   success     of the probe                        closed
    half-open   failure     of the probe                        open, for twice as long
    half-open   unknown     of the probe                        half-open, another probe

"Too many" is FAILURES_IN_A_ROW, or more than SHARE of at least LEAST_CALLS within WINDOW_NS. Calls
that began before the breaker opened say nothing when they end after it.

Pure state, no clock: times are `now_ns` of one monotonic clock. Source: M. Nygard, "Release It!",
chapter "Stability Patterns".
"""

import enum
from dataclasses import dataclass
from typing import Final

from macroslow.limits.admission import Verdict
from macroslow.ports import NS_PER_S

FAILURES_IN_A_ROW: Final = 5
SHARE: Final = 0.5
LEAST_CALLS: Final = 20
WINDOW_NS: Final = 30 * NS_PER_S
REST_NS: Final = 5 * NS_PER_S
MAX_REST_NS: Final = 120 * NS_PER_S
PROBE_NS: Final = 60 * NS_PER_S  # a probe that has not ended by then is given up


class BreakerState(enum.StrEnum):
    """Of the breaker."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


@dataclass(frozen=True, slots=True)
class Admittance:
    """What a call was let in with: it belongs to this opening or closing of the breaker."""

    era: int
    probe: bool


class Breaker:
    """The breaker of one account and model."""

    __slots__ = (
        "_admittance",
        "_calls",
        "_era",
        "_failures",
        "_in_a_row",
        "_opened_ns",
        "_probe_ns",
        "_rest_ns",
        "_since_ns",
    )

    def __init__(self) -> None:
        self._era = 0
        self._in_a_row = 0
        self._calls = self._failures = self._since_ns = 0
        self._opened_ns: int | None = None
        self._rest_ns = REST_NS
        self._probe_ns: int | None = None
        self._admittance = Admittance(0, probe=False)

    def closed(self) -> bool:
        """Whether calls go as if there were no breaker."""
        return self._opened_ns is None

    def state(self, now_ns: int) -> BreakerState:
        """Where it stands."""
        if self._opened_ns is None:
            return BreakerState.CLOSED
        return BreakerState.OPEN if now_ns < self._opened_ns + self._rest_ns else BreakerState.HALF_OPEN

    def rests_ns(self, now_ns: int) -> int:
        """How much longer no call may go; 0: one may."""
        if self._opened_ns is None:
            return 0
        until_ns = self._opened_ns + self._rest_ns
        if self._probe_ns is not None:
            until_ns = max(until_ns, self._probe_ns + PROBE_NS)
        return max(0, until_ns - now_ns)

    def admit(self, now_ns: int) -> Admittance:
        """Let a call go; only where `rests_ns` is 0. In the half-open state it is the probe."""
        if self._opened_ns is None:
            return self._admittance
        self._probe_ns = now_ns
        return Admittance(self._era, probe=True)

    def ended(self, admittance: Admittance, verdict: Verdict, now_ns: int) -> None:
        """A call that was let go has ended. A refusal for want of room is an answer."""
        if admittance.era != self._era:
            return
        if admittance.probe:
            self._probed(verdict, now_ns)
            return
        if verdict is Verdict.UNKNOWN:
            return
        failed = verdict is Verdict.FAILED
        if now_ns - self._since_ns > WINDOW_NS:
            self._calls = self._failures = 0
            self._since_ns = now_ns
        self._calls += 1
        self._failures += failed
        self._in_a_row = self._in_a_row + 1 if failed else 0
        many = self._calls >= LEAST_CALLS and self._failures > SHARE * self._calls
        if self._in_a_row >= FAILURES_IN_A_ROW or many:
            self._open(now_ns, REST_NS)

    def _probed(self, verdict: Verdict, now_ns: int) -> None:
        self._probe_ns = None
        if verdict is Verdict.FAILED:
            self._open(now_ns, min(MAX_REST_NS, 2 * self._rest_ns))
        elif verdict is not Verdict.UNKNOWN:
            self._close()

    def _open(self, now_ns: int, rest_ns: int) -> None:
        self._opened_ns, self._rest_ns = now_ns, rest_ns
        self._restart()

    def _close(self) -> None:
        self._opened_ns, self._rest_ns = None, REST_NS
        self._restart()

    def _restart(self) -> None:
        self._era += 1
        self._admittance = Admittance(self._era, probe=False)
        self._in_a_row = self._calls = self._failures = 0
