"""At most `count` units in any span of `period_ns`, wherever it begins: an exact log of what was taken.

A span is half open: what was taken at t counts until just before t + `period_ns`.
"""

from collections import deque
from dataclasses import dataclass, field


@dataclass(slots=True)
class SlidingWindow:
    """The log up to `at_ns`, oldest first: when, and how many units; `used` is their sum."""

    count: int
    period_ns: int
    used: int = 0
    at_ns: int = 0
    _log: deque[tuple[int, int]] = field(default_factory=deque)

    def advance(self, now_ns: int) -> None:
        self.at_ns = max(now_ns, self.at_ns)
        while self._log and self._log[0][0] + self.period_ns <= self.at_ns:
            self.used -= self._log.popleft()[1]

    def wait_ns(self, units: int) -> int | None:
        used = self.used
        if used + units <= self.count:
            return 0
        for taken_ns, taken in self._log:
            used -= taken
            if used + units <= self.count:
                return taken_ns + self.period_ns - self.at_ns
        return None

    def take(self, units: int) -> None:
        self.used += units
        self._log.append((self.at_ns, units))

    @property
    def remaining(self) -> int:
        return self.count - self.used

    @property
    def reset_ns(self) -> int:
        return self._log[-1][0] + self.period_ns - self.at_ns if self._log else 0
