"""At most `count` units in each calendar period of the provider's clock: everything returns at its end."""

from dataclasses import dataclass


@dataclass(slots=True)
class FixedWindow:
    """`used` units in the period that holds `at_ns`; periods begin at whole multiples of `period_ns`."""

    count: int
    period_ns: int
    used: int = 0
    at_ns: int = 0

    def advance(self, now_ns: int) -> None:
        now_ns = max(now_ns, self.at_ns)
        if now_ns // self.period_ns != self.at_ns // self.period_ns:
            self.used = 0
        self.at_ns = now_ns

    def wait_ns(self, units: int) -> int | None:
        if units > self.count:
            return None
        return 0 if self.used + units <= self.count else self.reset_ns

    def take(self, units: int) -> None:
        self.used += units

    @property
    def remaining(self) -> int:
        return self.count - self.used

    @property
    def reset_ns(self) -> int:
        """To the end of the period; nothing to wait for if nothing was used in it."""
        return self.period_ns - self.at_ns % self.period_ns if self.used else 0
