"""The machine's own clock and entropy."""

import os
import time


class SystemClock:
    """Implements `ports.Clock` by the system's own functions, which a request asks a dozen times."""

    now_ns = staticmethod(time.time_ns)
    monotonic_ns = staticmethod(time.monotonic_ns)


class SystemEntropy:
    """Implements `ports.Entropy` with the kernel's generator."""

    def random(self, size_bytes: int) -> bytes:
        return os.urandom(size_bytes)
