"""A provider's limit is kept however it counts, and what it says itself is believed."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.machine import SetClock

from macroslow.emulator.limits.fixed import FixedWindow
from macroslow.emulator.limits.sliding import SlidingWindow
from macroslow.errors import RateLimitedError
from macroslow.images.search import Allowance, HotLink, ImageTerms
from macroslow.ports import NS_PER_S
from macroslow.services.images.provider_rate import MARGIN, PROBES, ProviderRate


def rate_of(clock: SetClock, requests: int = 100, period_s: int = 60) -> ProviderRate:
    return ProviderRate("pixabay", ImageTerms("", HotLink.DAY, requests, period_s), clock)


def at_once(rate: ProviderRate) -> int:
    """How many go now, one after the other."""
    count = 0
    while True:
        try:
            number = rate.take()
        except RateLimitedError:
            return count
        rate.over(number, None)
        count += 1


@given(
    st.integers(1, 60),
    st.lists(st.floats(0, 40, allow_nan=False), min_size=1, max_size=200),
    st.sampled_from([SlidingWindow, FixedWindow]),
)
def test_the_provider_never_refuses_however_it_counts(half: int, waits_s: list[float], window: type) -> None:
    clock = SetClock()
    rate = rate_of(clock, 2 * half)
    theirs = window(2 * half, 60 * NS_PER_S)
    for wait_s in waits_s:
        clock.time_ns += int(wait_s * NS_PER_S)
        for _ in range(at_once(rate)):
            theirs.advance(clock.time_ns)
            assert theirs.wait_ns(1) == 0
            theirs.take(1)


def test_half_goes_at_once_and_half_evenly() -> None:
    clock = SetClock()
    rate = rate_of(clock)
    assert at_once(rate) == 50 - MARGIN
    for _ in range(100):
        clock.time_ns += 60 * NS_PER_S // 50
        assert at_once(rate) == 1


def test_a_refusal_says_when_and_keeps_its_word() -> None:
    clock = SetClock()
    rate = rate_of(clock, 50, 3600)
    at_once(rate)
    with pytest.raises(RateLimitedError) as refused:
        rate.take()
    assert (refused.value.count, refused.value.period_s) == (50, 3600)
    wait_s = math.ceil(refused.value.retry_after_s or 0)
    assert f"has room again in {wait_s} s: it takes 50 requests in 3600 s" in refused.value.detail
    wait_ns = round(refused.value.retry_after_s * NS_PER_S)
    clock.time_ns += wait_ns - 1
    assert at_once(rate) == 0
    clock.time_ns += 1
    assert at_once(rate) == 1


def test_a_larger_limit_is_learned() -> None:
    rate = rate_of(SetClock(), 50, 3600)
    rate.over(rate.take(), Allowance(5000, 4999))
    assert at_once(rate) > 2000


def test_a_smaller_limit_is_learned() -> None:
    rate = rate_of(SetClock())
    rate.over(rate.take(), Allowance(10, 9))
    assert at_once(rate) < 5


def test_what_another_program_uses_of_the_key_counts() -> None:
    clock = SetClock()
    rate = rate_of(clock)
    rate.over(rate.take(), Allowance(100, 2, reset_s=30))
    assert at_once(rate) == 2
    clock.time_ns += 30 * NS_PER_S - 1
    assert at_once(rate) == 0
    clock.time_ns += 1
    assert at_once(rate) > 0


@pytest.mark.parametrize("seed", range(20))
def test_answers_that_overtake_each_other_give_no_room_twice(seed: int) -> None:
    rate = rate_of(SetClock())
    answers = [(rate.take(), 14 - sent) for sent in range(10)]
    random.Random(seed).shuffle(answers)
    for number, remaining in answers:
        rate.over(number, Allowance(100, remaining))
    assert at_once(rate) == 5


def test_a_window_that_began_anew_gives_its_room_back() -> None:
    rate = rate_of(SetClock())
    rate.over(rate.take(), Allowance(100, 1))
    rate.over(rate.take(), Allowance(100, 99))
    assert at_once(rate) == 50 - MARGIN - 2


def test_a_refusal_of_the_provider_is_waited_out() -> None:
    clock = SetClock()
    rate = rate_of(clock)
    assert rate.refused(rate.take(), Allowance(100, 0, reset_s=17)).retry_after_s == 17
    clock.time_ns += 17 * NS_PER_S - 1
    assert at_once(rate) == 0
    clock.time_ns += 1
    assert at_once(rate) > 0


def test_without_a_moment_it_is_tried_again_now_and_then() -> None:
    clock = SetClock()
    rate = rate_of(clock, 50, 3600)
    assert rate.refused(rate.take(), None).retry_after_s == 3600 / PROBES
