"""How long whoever wants the state folder waits for who has it."""

from dataclasses import dataclass
from typing import Final

from macroslow.bootstrap.machine import clock
from macroslow.ports import NS_PER_S

START_WAIT_S: Final = 30.0  # for a gateway: until it takes commands, or has ended to make room
HOLD_WAIT_S: Final = 3.0  # for a command, which is done sooner
LOOK_EVERY_S: Final = 0.05


@dataclass(frozen=True, slots=True)
class Deadline:
    """A moment until which is waited, by the monotonic clock."""

    at_ns: int

    @classmethod
    def after(cls, wait_s: float) -> "Deadline":
        """The moment in `wait_s` from now."""
        return cls(clock.monotonic_ns() + int(wait_s * NS_PER_S))

    @property
    def is_over(self) -> bool:
        """Whether that long was waited."""
        return clock.monotonic_ns() >= self.at_ns
