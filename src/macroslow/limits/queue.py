"""Who waits, and whose turn it is: start-time fair queueing by principal, over tokens and weights.

Calls of one principal go in the order in which they came. Between principals goes the one whose next
call has the lowest *start* in virtual time: where its last call finished, or, for one that had none,
where everybody is now; a call finishes `tokens / weight` after its start. So those who wait get tokens
in proportion to their weights, however many calls they have and however large these are, and one
that was away gains nothing by it. When nobody waits, all are equal again.

Source: P. Goyal, H. Vin, H. Cheng, "Start-time Fair Queueing", SIGCOMM 1996.
"""

from bisect import bisect_left, insort
from collections import deque
from dataclasses import dataclass, field
from heapq import heappop, heapreplace
from typing import Final

from macroslow.limits.admission import Demand

MAX_FINISHED: Final = 4096  # principals that do not wait now, and whose last finish is remembered
_SCALE: Final = 1 << 16  # of virtual time, so that weights divide integers


@dataclass(slots=True)
class _Lane:
    """One principal's calls, and the virtual time at which the first of them starts."""

    start: int
    arrival: int
    demands: deque[Demand] = field(default_factory=deque)

    def key(self, principal: str) -> tuple[int, int, str]:
        return self.start, self.arrival, principal


class FairQueue:
    """Demands that wait."""

    def __init__(self) -> None:
        self.tokens = 0  # of all that wait
        self._lanes: dict[str, _Lane] = {}
        self._order: list[tuple[int, int, str]] = []  # the lanes' keys, sorted: also a heap
        self._finished: dict[str, int] = {}
        self._virtual = 0
        self._arrivals = 0
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def push(self, demand: Demand) -> None:
        """Add a demand at the end of its principal's lane."""
        principal = demand.principal
        lane = self._lanes.get(principal)
        if lane is None:
            start = max(self._virtual, self._finished.pop(principal, 0))
            lane = self._lanes[principal] = _Lane(start, self._arrivals)
            self._arrivals += 1
            insort(self._order, lane.key(principal))
        lane.demands.append(demand)
        self._size += 1
        self.tokens += demand.tokens

    def take(self, demand: Demand) -> None:
        """It is let in. ValueError unless it is the first of its lane."""
        principal = demand.principal
        lane = self._lanes.get(principal)
        if lane is None or lane.demands[0] is not demand:
            raise ValueError("only the first of a lane is let in")
        # One that passes those before it does not take everybody's time with it.
        self._virtual = max(self._virtual, min(lane.start, self._order[0][0]))
        lane.demands.popleft()
        self._leave(principal, lane, demand, lane.start + _length(demand, demand.tokens))

    def remove(self, demand: Demand) -> None:
        """It does not wait any longer. ValueError if it did not."""
        principal = demand.principal
        lane = self._lanes.get(principal)
        if lane is None:
            raise ValueError("not in the queue")
        lane.demands.remove(demand)
        self._leave(principal, lane, demand, lane.start)

    def _leave(self, principal: str, lane: _Lane, demand: Demand, start: int) -> None:
        self._size -= 1
        self.tokens -= demand.tokens
        self._move(principal, lane, start)
        if lane.demands:
            return
        del self._lanes[principal]
        del self._order[bisect_left(self._order, lane.key(principal))]
        self._finished[principal] = start
        if not self._lanes:
            self._finished.clear()
        elif len(self._finished) > MAX_FINISHED:
            latest = sorted(self._finished.items(), key=lambda item: item[1])[MAX_FINISHED // 2 :]
            self._finished = {name: finish for name, finish in latest if finish > self._virtual}

    def _move(self, principal: str, lane: _Lane, start: int) -> None:
        if start != lane.start:
            del self._order[bisect_left(self._order, lane.key(principal))]
            lane.start = start
            insort(self._order, lane.key(principal))

    def refund(self, demand: Demand, tokens: int) -> None:
        """A call that was taken did not need `tokens` of what it was charged."""
        length = _length(demand, tokens)
        lane = self._lanes.get(demand.principal)
        if lane is not None:
            self._move(demand.principal, lane, max(self._virtual, lane.start - length))
        elif demand.principal in self._finished:
            self._finished[demand.principal] -= length

    def walk(self) -> "Walk":
        """The demands in the order of their turns, without changing anything."""
        return Walk(list(self._order), self._lanes)


class Walk:
    """Looks at demands in turn. Says for each whether it `passed` or not: then its lane is done."""

    def __init__(self, heap: list[tuple[int, int, str]], lanes: dict[str, _Lane]) -> None:
        self._heap = heap
        self._lanes = lanes
        self._at: dict[str, int] = {}

    @property
    def demand(self) -> Demand | None:
        """Whose turn it is; None: nobody is left."""
        if not self._heap:
            return None
        principal = self._heap[0][2]
        return self._lanes[principal].demands[self._at.get(principal, 0)]

    def stays(self) -> None:
        """It cannot go now, nor can those behind it in its lane."""
        heappop(self._heap)

    def passes(self) -> None:
        """It goes: its principal's next demand comes in its turn."""
        start, arrival, principal = self._heap[0]
        lane = self._lanes[principal]
        at = self._at.get(principal, 0)
        demand = lane.demands[at]
        self._at[principal] = at + 1
        if at + 1 == len(lane.demands):
            heappop(self._heap)
        else:
            heapreplace(self._heap, (start + _length(demand, demand.tokens), arrival, principal))


def _length(demand: Demand, tokens: int) -> int:
    """How far `tokens` move a principal on in virtual time."""
    return max(1, tokens) * _SCALE // demand.weight
