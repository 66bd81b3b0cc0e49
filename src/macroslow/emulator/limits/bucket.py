"""A bucket of `count` units that starts full and regains them evenly over `period_ns`.

This is how OpenAI's own refusals compute: "Limit 30000, Used 29937, Requested 385. Please try again in
644ms" is (29937 + 385 - 30000) tokens at 500 a second. Integers only, so the edge is exact to the
nanosecond.
"""

from dataclasses import dataclass


@dataclass(slots=True)
class Bucket:
    """`missing` is what was taken and has not come back, in units x nanoseconds of a period, at `at_ns`."""

    count: int
    period_ns: int
    missing: int = 0
    at_ns: int = 0

    def advance(self, now_ns: int) -> None:
        gained = max(0, now_ns - self.at_ns) * self.count
        self.missing = max(0, self.missing - gained)
        self.at_ns = max(now_ns, self.at_ns)

    def wait_ns(self, units: int) -> int | None:
        if units > self.count:
            return None
        lacking = self.missing + (units - self.count) * self.period_ns
        return max(0, -(-lacking // self.count))

    def take(self, units: int) -> None:
        self.missing += units * self.period_ns

    @property
    def remaining(self) -> int:
        return self.count - self.used

    @property
    def used(self) -> int:
        return -(-self.missing // self.period_ns)

    @property
    def reset_ns(self) -> int:
        return -(-self.missing // self.count)
