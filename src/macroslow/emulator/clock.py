"""The provider's clock: ours, moved by a skew. It is set once and then runs evenly, never backwards."""

from dataclasses import dataclass, field

from macroslow.ports import NS_PER_MS, Clock


@dataclass(slots=True)
class ProviderClock:
    """What the provider's answers are dated by and its windows cut by. Nanoseconds since 1970-01-01 UTC."""

    clock: Clock
    skew_ms: int = 0
    _ahead_ns: int = field(init=False)

    def __post_init__(self) -> None:
        self._ahead_ns = self.clock.now_ns() - self.clock.monotonic_ns() + self.skew_ms * NS_PER_MS

    def now_ns(self) -> int:
        return self.clock.monotonic_ns() + self._ahead_ns
