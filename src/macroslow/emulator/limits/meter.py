"""The limits of one key and model as they stand: a call takes from all of them, or from none.

The headers may lag behind, as a provider's do whose nodes count for themselves: then a second set of
windows is fed with the same calls, later, and is what the headers show.
"""

import enum
import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

from macroslow.emulator.limits.bucket import Bucket
from macroslow.emulator.limits.fixed import FixedWindow
from macroslow.emulator.limits.plan import Algorithm, Limits
from macroslow.emulator.limits.sliding import SlidingWindow
from macroslow.emulator.limits.window import Window
from macroslow.ports import DAY_NS, MINUTE_NS, NS_PER_MS, NS_PER_S


class Kind(enum.StrEnum):
    """What a limit counts, and over which time if that is no minute."""

    REQUESTS = "requests"
    TOKENS = "tokens"
    INPUT_TOKENS = "input_tokens"
    OUTPUT_TOKENS = "output_tokens"
    REQUESTS_A_DAY = "requests_per_day"
    REQUESTS_A_SECOND = "requests_per_second"


@dataclass(frozen=True, slots=True)
class Cost:
    """The tokens that a call is charged with when it comes in."""

    input_tokens: int
    output_tokens: int

    def units(self, kind: Kind) -> int:
        """What it takes from a limit of this kind."""
        match kind:
            case Kind.TOKENS:
                return self.input_tokens + self.output_tokens
            case Kind.INPUT_TOKENS:
                return self.input_tokens
            case Kind.OUTPUT_TOKENS:
                return self.output_tokens
            case _:
                return 1


@dataclass(frozen=True, slots=True)
class Exceeded:
    """A refusal, by one limit: of several, the one that takes longest.

    With no other traffic the same call passes after exactly `wait_ns`; None: it never will.
    """

    kind: Kind
    count: int
    used: int
    requested: int
    wait_ns: int | None


@dataclass(frozen=True, slots=True)
class View:
    """A limit as headers tell it. `reset_at_ns` is on the provider's clock."""

    count: int
    remaining: int
    reset_ns: int
    reset_at_ns: int


Windows = Mapping[Kind, Window]


class Meter:
    """Not safe in several threads; one event loop owns it."""

    def __init__(self, limits: Limits) -> None:
        self._windows = windows_of(limits)
        self._lag_ns = limits.lag_ms * NS_PER_MS
        self._shown = windows_of(limits) if self._lag_ns else self._windows
        self._unseen: deque[tuple[int, Cost]] = deque()

    def admit(self, cost: Cost, now_ns: int) -> Exceeded | None:
        """Take what one request costs, or say why not."""
        for window in self._windows.values():
            window.advance(now_ns)
        waits_ns = {kind: window.wait_ns(cost.units(kind)) for kind, window in self._windows.items()}
        if refused := [kind for kind, wait_ns in waits_ns.items() if wait_ns != 0]:
            kind = max(refused, key=lambda kind: _length(waits_ns[kind]))
            window = self._windows[kind]
            return Exceeded(kind, window.count, window.used, cost.units(kind), waits_ns[kind])
        _take(self._windows, cost)
        if self._lag_ns:
            self._unseen.append((now_ns, cost))
        return None

    def views(self, now_ns: int) -> dict[Kind, View]:
        """What the headers tell at `now_ns`."""
        seen_ns = now_ns - self._lag_ns
        while self._unseen and self._unseen[0][0] <= seen_ns:
            at_ns, cost = self._unseen.popleft()
            for window in self._shown.values():
                window.advance(at_ns)
            _take(self._shown, cost)
        for window in self._shown.values():
            window.advance(seen_ns)
        return {
            kind: View(window.count, window.remaining, window.reset_ns, seen_ns + window.reset_ns)
            for kind, window in self._shown.items()
        }


def _length(wait_ns: int | None) -> float:
    """A wait to compare with others: never is the longest."""
    return math.inf if wait_ns is None else wait_ns


def _take(windows: Windows, cost: Cost) -> None:
    for kind, window in windows.items():
        window.take(cost.units(kind))


def windows_of(limits: Limits) -> dict[Kind, Window]:
    """The windows that these limits are, all of them empty."""
    minutes = {
        Kind.REQUESTS: limits.requests,
        Kind.TOKENS: limits.tokens,
        Kind.INPUT_TOKENS: limits.input_tokens,
        Kind.OUTPUT_TOKENS: limits.output_tokens,
    }
    made: dict[Kind, Window] = {
        kind: _minute(limits.algorithm, count) for kind, count in minutes.items() if count is not None
    }
    if limits.requests_a_day is not None:
        made[Kind.REQUESTS_A_DAY] = Bucket(limits.requests_a_day, DAY_NS)
    if limits.algorithm is Algorithm.SECOND and limits.requests is not None:
        made[Kind.REQUESTS_A_SECOND] = SlidingWindow(-(-limits.requests // 60), NS_PER_S)
    return made


def _minute(algorithm: Algorithm, count: int) -> Window:
    match algorithm:
        case Algorithm.FIXED:
            return FixedWindow(count, MINUTE_NS)
        case Algorithm.SLIDING:
            return SlidingWindow(count, MINUTE_NS)
        case _:
            return Bucket(count, MINUTE_NS)
