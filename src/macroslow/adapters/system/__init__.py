"""The machine's own clock and entropy."""

import os
import time


class SystemClock:
    """Implements `ports.Clock`."""

    def now_ns(self) -> int:
        return time.time_ns()

    def monotonic_ns(self) -> int:
        return time.monotonic_ns()


class SystemEntropy:
    """Implements `ports.Entropy` with the kernel's generator."""

    def random(self, size_bytes: int) -> bytes:
        return os.urandom(size_bytes)
