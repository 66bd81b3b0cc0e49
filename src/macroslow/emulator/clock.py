"""The machine's clock."""

import time


class SystemClock:
    """What `macroslow.ports.Clock` asks for, from the operating system."""

    def now_ns(self) -> int:
        return time.time_ns()

    def monotonic_ns(self) -> int:
        return time.monotonic_ns()
