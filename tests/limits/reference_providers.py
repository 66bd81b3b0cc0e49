"""Providers that count in each way that occurs, written to be read: slow, exact, and merciless.

Times are seconds on a clock of their own (`skew_s` ahead of ours). A call is counted when it arrives,
with what it will use or with the most that it may; one that does not fit is refused and not counted.
"""

import math
from dataclasses import dataclass, field

EPSILON_S = 1e-7  # two floating-point roads to the same instant


@dataclass
class Provider:
    """`algorithm`: fixed, sliding, bucket or second. `charge`: used or max_tokens.

    "second" lets a sixtieth of the requests pass in every second of the calendar, beside the bucket
    of a minute. `lag_s`: the headers tell of a moment that long ago. `resets`: of a sliding window
    they tell when its "oldest" or its "newest" call leaves it.
    """

    rpm: int
    tpm: int
    algorithm: str = "bucket"
    charge: str = "used"
    skew_s: float = 0.0
    lag_s: float = 0.0
    resets: str = "oldest"
    others: list[tuple[float, int, int]] = field(default_factory=list)
    counted: list[tuple[float, int, int]] = field(default_factory=list)
    refused: int = 0

    def call(self, now_s: float, used: int, most: int) -> bool:
        """Whether a call that arrives now is taken."""
        now_s += self.skew_s
        cost = used if self.charge == "used" else most
        fits = (
            self._used(0, now_s) + 1 <= self.rpm + EPSILON_S
            and self._used(1, now_s) + cost <= self.tpm + 1e-3
        )
        if self.algorithm == "second":
            this_second = sum(1 for at_s, _, _ in self._all if math.floor(at_s) == math.floor(now_s))
            fits = fits and this_second + 1 <= math.ceil(self.rpm / 60)
        if not fits:
            self.refused += 1
            return False
        self.counted.append((now_s, 1, cost))
        return True

    @property
    def _all(self) -> list[tuple[float, int, int]]:
        return sorted(self.others + self.counted) if self.others else self.counted

    def _limit(self, what: int) -> int:
        return (self.rpm, self.tpm)[what]

    def _used(self, what: int, now_s: float) -> float:
        """Requests (0) or tokens (1) that count at `now_s`."""
        entries = [(at_s, units[what]) for at_s, *units in self._all if at_s <= now_s]
        if self.algorithm == "fixed":
            return sum(n for at_s, n in entries if at_s // 60 == now_s // 60)
        if self.algorithm == "sliding":
            return sum(n for at_s, n in entries if now_s - at_s < 60 - EPSILON_S)
        level, last_s, rate = 0.0, 0.0, self._limit(what) / 60
        for at_s, n in entries:
            level = max(0.0, level - (at_s - last_s) * rate) + n
            last_s = at_s
        return max(0.0, level - (now_s - last_s) * rate)

    def _reset_s(self, what: int, now_s: float) -> float:
        used = self._used(what, now_s)
        if self.algorithm == "fixed":
            return 60 - now_s % 60 if used else 0.0
        if self.algorithm == "sliding":
            alive = [at_s for at_s, *_ in self._all if now_s - 60 < at_s <= now_s]
            pick = min if self.resets == "oldest" else max
            return pick(alive) + 60 - now_s if alive else 0.0
        return used * 60 / self._limit(what)

    def headers(self, now_s: float) -> dict[str, str]:
        """What an answer says at this moment, or a lag before it."""
        now_s += self.skew_s - self.lag_s
        found = {}
        for what, name in enumerate(("requests", "tokens")):
            limit, used = self._limit(what), math.ceil(self._used(what, now_s) - 1e-6)
            found[f"x-ratelimit-limit-{name}"] = str(limit)
            found[f"x-ratelimit-remaining-{name}"] = str(max(0, limit - used))
            found[f"x-ratelimit-reset-{name}"] = f"{math.ceil(self._reset_s(what, now_s) * 1000)}ms"
        return found

    def share(self, first_s: float, last_s: float) -> float:
        """Tokens that were counted between these times (of our clock), of what a minute allows."""
        taken = sum(n for at_s, _, n in self.counted if first_s <= at_s - self.skew_s < last_s)
        return taken / (self.tpm * (last_s - first_s) / 60)
