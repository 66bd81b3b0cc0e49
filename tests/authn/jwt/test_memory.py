"""A memory that is shared: bounded in all, and no flood drives out what another keeps within a share."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from macroslow.authn.jwt.memory import FairMemory

CAPACITY = 6
OWNERS = "abc"
ITEMS = st.lists(st.tuples(st.sampled_from(OWNERS), st.integers(0, 9)), max_size=60)


def key(owner: str, number: int) -> bytes:
    return f"{owner}{number}".encode()


class Slow:
    """The same, over one list from old to new. `came` are the owners as they came, which decides a tie."""

    def __init__(self, came: list[str]) -> None:
        self.came = came
        self.items: list[tuple[str, int]] = []

    def put(self, item: tuple[str, int]) -> None:
        self.items = [each for each in self.items if each != item] + [item]
        if len(self.items) > CAPACITY:
            counts = Counter(owner for owner, _ in self.items)
            most = max(self.came, key=lambda owner: counts[owner])
            self.items.remove(next(each for each in self.items if each[0] == most))


@settings(max_examples=100, deadline=None)
@given(ITEMS)
def test_it_forgets_what_a_slow_list_would(items: list[tuple[str, int]]) -> None:
    memory: FairMemory[int] = FairMemory(CAPACITY)
    slow = Slow(list(dict.fromkeys(owner for owner, _ in items)))
    for item in items:
        memory.put(item[0], key(*item), item[1])
        slow.put(item)
        assert len(memory) == len(slow.items) <= CAPACITY
    kept = {(owner, n) for owner in OWNERS for n in range(10) if memory.pop(key(owner, n)) == n}
    assert kept == set(slow.items)
    assert len(memory) == 0


@settings(max_examples=100, deadline=None)
@given(ITEMS)
def test_whoever_keeps_to_his_share_loses_nothing(items: list[tuple[str, int]]) -> None:
    memory: FairMemory[int] = FairMemory(CAPACITY)
    modest = CAPACITY // len(OWNERS)
    for number in range(modest):
        memory.put("a", key("a", number), number)
    for owner, number in items:
        if owner != "a":
            memory.put(owner, key(owner, number), number)
    assert [memory.pop(key("a", number)) for number in range(modest)] == [*range(modest)]


def test_what_is_put_again_is_new_again() -> None:
    memory: FairMemory[int] = FairMemory(2)
    memory.put("a", b"1", 1)
    memory.put("a", b"2", 2)
    memory.put("a", b"1", 11)
    memory.put("a", b"3", 3)
    assert [memory.pop(each) for each in (b"1", b"2", b"3", b"4")] == [11, None, 3, None]


def test_a_memory_for_nothing_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="below 1"):
        FairMemory(0)
