"""The machine's clock and entropy."""

import time

from macroslow.adapters.system import SystemClock, SystemEntropy


def test_the_clock_is_the_machines() -> None:
    clock = SystemClock()
    assert abs(clock.now_ns() - time.time_ns()) < 5 * 10**9
    first, second = clock.monotonic_ns(), clock.monotonic_ns()
    assert first <= second


def test_entropy_has_the_size_asked_for_and_does_not_repeat() -> None:
    entropy = SystemEntropy()
    assert [len(entropy.random(size)) for size in (0, 1, 32, 4096)] == [0, 1, 32, 4096]
    assert len({entropy.random(16) for _ in range(100)}) == 100
