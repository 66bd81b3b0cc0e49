"""Counting by key: each by itself, refused ones for nothing, and never more keys than there is room for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.services.key_house import SetClock

from macroslow.errors import RateLimitedError
from macroslow.limits.admission import per_minute
from macroslow.limits.gcra import Limit
from macroslow.limits.tallies import Tallies
from macroslow.ports import MINUTE_NS, NS_PER_S

THREE = per_minute("requests", 3)


def admitted(tallies: Tallies, key: str, limit: Limit = THREE) -> bool:
    try:
        tallies.admit(key, limit, "one key")
    except RateLimitedError:
        return False
    return True


def test_each_key_has_the_whole_limit_to_itself() -> None:
    tallies = Tallies(SetClock(), 10)
    assert [admitted(tallies, "a") for _ in range(4)] == [True, True, True, False]
    assert admitted(tallies, "b")


def test_what_is_refused_says_whose_limit_it_is_and_when_to_come_again() -> None:
    clock = SetClock()
    tallies = Tallies(clock, 10)
    for _ in range(3):
        tallies.admit("a", THREE, "one key")
    with pytest.raises(RateLimitedError) as refused:
        tallies.admit("a", THREE, "one key", "ask for more")
    told = refused.value
    assert told.detail == "one key may have 3 requests in 60 s"
    assert (told.fix, told.limit, told.count, told.period_s) == ("ask for more", "requests", 3, 60)
    clock.time_ns += int(told.retry_after_s * NS_PER_S)
    assert admitted(tallies, "a")


def test_it_tells_in_what_time_all_are_back() -> None:
    clock = SetClock()
    tallies = Tallies(clock, 10)
    assert [tallies.admit("a", THREE, "one key") for _ in range(2)] == [MINUTE_NS // 3, 2 * MINUTE_NS // 3]
    clock.time_ns += 2 * MINUTE_NS // 3
    assert tallies.admit("a", THREE, "one key") == MINUTE_NS // 3


def test_the_key_that_was_unused_for_longest_is_forgotten_for_a_new_one() -> None:
    tallies = Tallies(SetClock(), 2)
    one = per_minute("requests", 1)
    admitted(tallies, "old", one)
    admitted(tallies, "used", one)
    for _ in range(5):
        assert not admitted(tallies, "old", one), "a refusal is no use, and forgets nobody"
    admitted(tallies, "new", one)
    assert admitted(tallies, "old", one)
    assert not admitted(tallies, "new", one)


@given(st.lists(st.sampled_from("abcdef"), max_size=60), st.integers(1, 6), st.integers(1, 4))
def test_with_room_for_all_no_key_ever_has_more_than_its_limit_in_a_moment(
    keys: list[str], spare: int, count: int
) -> None:
    tallies = Tallies(SetClock(), 5 + spare)
    limit = per_minute("requests", count)
    let_in = [key for key in keys if admitted(tallies, key, limit)]
    for key in set(keys):
        assert let_in.count(key) == min(count, keys.count(key))
