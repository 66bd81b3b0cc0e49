"""What one rate limit is to the meter: a state machine over integers, without a clock.

The four algorithms of providers are built of three of them: `Bucket`, `FixedWindow`, `SlidingWindow`.
Times are nanoseconds of the provider's clock, handed in; a clock that ran backwards counts as one that
stood still. A window that holds nothing more for a request says for how long, exactly: with no
other traffic the request passes after that wait and not a nanosecond sooner.
"""

from typing import Protocol


class Window(Protocol):
    """One limit's state. It begins with all of its `count` units free."""

    @property
    def count(self) -> int: ...

    def advance(self, now_ns: int) -> None:
        """Let time pass until `now_ns`."""
        ...

    def wait_ns(self, units: int) -> int | None:
        """Nanoseconds until `units` are free: 0 if they are, None if they never will be."""
        ...

    def take(self, units: int) -> None:
        """Take `units`, after `wait_ns` said 0."""
        ...

    @property
    def remaining(self) -> int:
        """Whole units that are free."""
        ...

    @property
    def used(self) -> int:
        """Units that are not free, a started one counted in full."""
        ...

    @property
    def reset_ns(self) -> int:
        """Nanoseconds until everything is free again."""
        ...
