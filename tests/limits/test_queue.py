"""Start-time fair queueing against a slow reading of its definition, and the shares that it promises."""

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from macroslow.limits.admission import Demand
from macroslow.limits.queue import MAX_FINISHED, FairQueue


def demand(principal: str, tokens: int = 1, weight: int = 1) -> Demand:
    return Demand(principal, tokens, weight)


def head(queue: FairQueue) -> Demand | None:
    return queue.walk().demand


class SlowQueue:
    """The definition: start = max(virtual time, last finish); finish = start + tokens / weight."""

    def __init__(self) -> None:
        self.lanes: dict[str, list[Demand]] = {}
        self.arrivals: dict[str, int] = {}
        self.starts: dict[str, Fraction] = {}
        self.finished: dict[str, Fraction] = {}
        self.virtual = Fraction(0)
        self.came = 0

    def push(self, each: Demand) -> None:
        name = each.principal
        if name not in self.lanes:
            self.starts[name] = max(self.virtual, self.finished.pop(name, Fraction(0)))
            self.lanes[name], self.arrivals[name] = [], self.came
            self.came += 1
        self.lanes[name].append(each)

    def order(self) -> list[Demand]:
        lanes, starts, found = {n: list(t) for n, t in self.lanes.items()}, dict(self.starts), []
        while lanes:
            name = min(lanes, key=lambda n: (starts[n], self.arrivals[n]))
            first = lanes[name].pop(0)
            starts[name] += Fraction(max(1, first.tokens), first.weight)
            found.append(first)
            if not lanes[name]:
                del lanes[name]
        return found

    def take_first(self) -> None:
        first = self.order()[0]
        name = first.principal
        self.virtual = self.starts[name]
        self._out(name, first, self.starts[name] + Fraction(max(1, first.tokens), first.weight))

    def remove(self, each: Demand) -> None:
        self._out(each.principal, each, self.starts[each.principal])

    def _out(self, name: str, each: Demand, start: Fraction) -> None:
        self.lanes[name].remove(each)
        self.starts[name] = start
        if not self.lanes[name]:
            del self.lanes[name]
            self.finished[name] = start
        if not self.lanes:
            self.finished.clear()


moves = st.lists(
    st.one_of(
        st.tuples(
            st.sampled_from("abcd"), st.sampled_from([0, 1, 16, 512, 4096]), st.sampled_from([1, 2, 4])
        ),
        st.just("take"),
        st.integers(0, 9),
    ),
    max_size=40,
)


@settings(max_examples=80)
@given(moves)
def test_the_order_is_that_of_the_definition(history):
    queue, slow = FairQueue(), SlowQueue()
    weights: dict[str, int] = {}
    for move in history:
        order = slow.order()
        if isinstance(move, tuple):
            name, tokens, weight = move
            each = demand(name, tokens, weights.setdefault(name, weight))
            queue.push(each)
            slow.push(each)
        elif move == "take" and order:
            queue.take(order[0])
            slow.take_first()
        elif isinstance(move, int) and move < len(order):
            queue.remove(order[move])
            slow.remove(order[move])
        walk, walked = queue.walk(), []
        while walk.demand is not None:
            walked.append(walk.demand)
            walk.passes()
        assert walked == slow.order()
        assert len(queue) == len(walked)
        assert queue.tokens == sum(each.tokens for each in walked)


def serve(queue: FairQueue, times: int, arrive) -> dict[str, int]:
    """Tokens that each principal gets while everybody always has a call waiting."""
    got: dict[str, int] = {}
    for _ in range(times):
        first = head(queue)
        queue.take(first)
        got[first.principal] = got.get(first.principal, 0) + first.tokens
        queue.push(arrive(first.principal))
    return got


@settings(max_examples=30)
@given(st.dictionaries(st.sampled_from("abcde"), st.integers(1, 8), min_size=2), st.randoms())
def test_tokens_are_shared_by_weight_however_large_the_calls_are(weights, random):
    most = 1000

    def arrive(name: str) -> Demand:
        size = random.randint(1, 50) if name in "ab" else random.randint(1, most)
        return demand(name, size, weights[name])

    queue = FairQueue()
    for name in weights:
        for _ in range(3):
            queue.push(arrive(name))
    got = serve(queue, 150, arrive)
    for one in weights:
        for other in weights:
            # The bound of the paper: the difference of normalised service of two that always wait.
            unfair = abs(got.get(one, 0) / weights[one] - got.get(other, 0) / weights[other])
            assert unfair <= most / weights[one] + most / weights[other]


def test_one_principals_batch_does_not_hold_up_another():
    queue = FairQueue()
    for _ in range(100):
        queue.push(demand("batch", 10))
    queue.take(head(queue))
    single = demand("single", 10)
    queue.push(single)
    order = []
    for _ in range(3):
        order.append(head(queue))
        queue.take(order[-1])
    assert single in order


def test_who_was_away_gains_nothing_by_it():
    queue = FairQueue()
    queue.push(demand("here", 10))
    for _ in range(50):
        queue.push(demand("here", 10))
        queue.take(head(queue))
    for _ in range(10):
        queue.push(demand("back", 10))
    order = []
    for _ in range(2):
        order.append(head(queue).principal)
        queue.take(head(queue))
    assert sorted(order) == ["back", "here"]


def test_what_was_not_needed_is_given_back_to_its_principal():
    queue, order = FairQueue(), ""
    for name in "aaaabb":
        queue.push(demand(name, 100))
    while head(queue) is not None:
        first = head(queue)
        order += first.principal
        queue.take(first)
        if first.principal == "a":
            queue.refund(first, 90)
    assert order == "abaaab"  # four of a's used less than one of b's
    queue.refund(Demand("nobody", 100), 90)  # who is not known any more


def test_what_was_not_needed_by_one_who_does_not_wait_counts_when_he_comes_back():
    queue = FairQueue()
    queue.push(demand("a", 1000))
    for _ in range(4):
        queue.push(demand("b", 300))
    queue.take(head(queue))
    queue.refund(Demand("a", 1000), 900)
    queue.push(demand("a", 10))
    order = []
    while head(queue) is not None:
        order.append(head(queue).principal)
        queue.take(head(queue))
    assert order == ["b", "a", "b", "b", "b"]


def test_only_the_first_of_a_lane_is_let_in_and_only_who_waits_is_removed():
    queue = FairQueue()
    first, second = demand("a"), demand("a")
    with pytest.raises(ValueError):
        queue.take(first)
    with pytest.raises(ValueError):
        queue.remove(first)
    queue.push(first)
    queue.push(second)
    with pytest.raises(ValueError):
        queue.take(second)
    queue.remove(second)
    with pytest.raises(ValueError):
        queue.remove(second)
    queue.take(first)
    assert head(queue) is None


def test_who_passes_by_the_first_does_not_move_everybodys_time():
    queue = FairQueue()
    waits, small = demand("large", 1000), demand("small", 1)
    queue.push(demand("small", 100))
    queue.push(waits)
    queue.push(small)
    queue.take(queue.walk().demand)
    queue.take(small)
    queue.push(demand("new", 1))
    assert head(queue) is waits


def test_memory_is_bounded_by_those_who_wait():
    queue = FairQueue()
    queue.push(demand("stays", 10**9))
    queue.push(demand("stays", 10**9))
    queue.take(head(queue))
    for number in range(3 * MAX_FINISHED):
        queue.push(demand(f"passer-by {number}", 10))
        queue.take(head(queue))
    assert len(queue._finished) <= MAX_FINISHED
    queue.remove(head(queue))
    assert not queue._finished
    assert not queue._lanes
    assert not queue._order
