"""A sliding window over what was let in, in slots of time: exact to one slot, and never too early.

The window keeps three sums: `most` (what calls were let in with), `open` (that of calls whose end is
not known yet) and `used` (what the others used). A unit leaves the window when the period and the
time to the provider have passed after the end of its slot: never before it leaves the provider's
own window, and at most a slot and that time later. It is remembered for a while longer, since what a
provider reports may be that old. A ring of integers: memory and cost do not grow with traffic.
"""

from collections.abc import Iterator

SlotsState = list[list[int]]


class Slots:
    """One window. All times are nanoseconds of one clock; a question comes after `advance`."""

    __slots__ = (
        "_ahead",
        "_first",
        "_forgotten",
        "_most",
        "_next_ns",
        "_open",
        "_size",
        "_used",
        "lasts_ns",
        "most",
        "open",
        "slot_ns",
        "used",
    )

    def __init__(
        self, period_ns: int, slot_ns: int, arrival_ns: int, remember_ns: int = 0, ahead_ns: int = 0
    ) -> None:
        """`arrival_ns` is the longest from being let in here to being counted there.

        Units may be added at times up to `ahead_ns` in the future.
        """
        self.slot_ns = slot_ns
        self.lasts_ns = -(-(period_ns + arrival_ns) // slot_ns) * slot_ns
        self._ahead = -(-ahead_ns // slot_ns)
        self._size = size = (self.lasts_ns + remember_ns) // slot_ns + 3 + self._ahead
        self._most, self._open, self._used = [0] * size, [0] * size, [0] * size
        self._next_ns = 0  # before that there is nothing to let go of
        self._first = 0  # the oldest slot that counts
        self._forgotten = 0  # the oldest slot that is remembered
        self.most = self.open = self.used = 0

    def advance(self, now_ns: int) -> None:
        """Let go of what is over at `now_ns`."""
        if now_ns < self._next_ns:
            return
        slot, size = now_ns // self.slot_ns, self._size
        self._next_ns = (slot + 1) * self.slot_ns
        first = slot - self.lasts_ns // self.slot_ns
        for each in range(self._first, min(first, self._forgotten + size)):
            at = each % size
            self.most -= self._most[at]
            self.open -= self._open[at]
            self.used -= self._used[at]
        self._first = max(self._first, first)
        forgotten = max(self._forgotten, slot + self._ahead + 1 - size)
        for each in range(self._forgotten, min(forgotten, self._forgotten + size)):
            at = each % size
            self._most[at] = self._open[at] = self._used[at] = 0
        self._forgotten = forgotten

    def add(self, at_ns: int, units: int, now_ns: int) -> None:
        """Advance to `now_ns`; count `units` that were let in at `at_ns` and whose end is not known."""
        if now_ns >= self._next_ns:
            self.advance(now_ns)
        at = at_ns // self.slot_ns % self._size
        self._most[at] += units
        self._open[at] += units
        self.most += units
        self.open += units

    def end(self, at_ns: int, units: int, used: int) -> None:
        """What was added as `units` has used `used`: the most that counts of it is the larger."""
        self._change(at_ns, max(0, used - units), -units, used)

    def take_back(self, at_ns: int, units: int) -> None:
        """What was added never went out."""
        self._change(at_ns, -units, -units, 0)

    def note(self, at_ns: int, units: int) -> None:
        """Count `units` that were used at `at_ns`: their end is known."""
        self._change(at_ns, units, 0, units)

    def _change(self, at_ns: int, most: int, opened: int, used: int) -> None:
        """Add to the sums of what was let in at `at_ns`; nothing, where that is forgotten."""
        slot = at_ns // self.slot_ns
        if slot < self._forgotten:
            return
        at = slot % self._size
        self._most[at] += most
        self._open[at] += opened
        self._used[at] += used
        if slot >= self._first:
            self.most += most
            self.open += opened
            self.used += used

    def taken(self, *, most: bool) -> int:
        """What counts now: the most that was allowed, or what was used as far as that is known."""
        return self.most if most else self.used + self.open

    def fits_ns(self, room: int, now_ns: int, *, most: bool) -> int:
        """When no more than `room` (at least 0) will count, if nothing else is added."""
        excess = self.taken(most=most) - room
        slot = self._first
        if excess <= 0:
            return now_ns
        for units in self._each(slot, slot + self._size, most=most):
            slot += 1
            excess -= units
            if excess <= 0:
                break
        return slot * self.slot_ns + self.lasts_ns

    def left_at(self, then_ns: int, *, most: bool) -> int:
        """What of the present units will count at `then_ns`, a later time."""
        over = self._each(self._first, (then_ns - self.lasts_ns) // self.slot_ns, most=most)
        return self.taken(most=most) - sum(over)

    def certain(self, since_ns: int, until_ns: int, *, most: bool) -> int:
        """Units that were certainly let in between these times, without use that is not known yet."""
        size = self._size
        units = self._most if most else self._used
        first = max(self._forgotten, -(-since_ns // self.slot_ns))
        return sum(units[slot % size] for slot in range(first, until_ns // self.slot_ns))

    def possible(self, since_ns: int, *, most: bool) -> int:
        """Units that may have been let in since then."""
        first = max(self._forgotten, since_ns // self.slot_ns)
        return sum(self._each(first, self._forgotten + self._size, most=most))

    def replay(self) -> Iterator[tuple[int, int, int]]:
        """When, and what was let in at most, and what of it counts by use: the oldest slot first."""
        size = self._size
        for slot in range(self._forgotten, self._forgotten + size):
            at = slot % size
            if self._most[at]:
                yield slot * self.slot_ns, self._most[at], self._open[at] + self._used[at]

    def remembers(self, since_ns: int) -> bool:
        """Whether nothing since then is forgotten."""
        return since_ns // self.slot_ns >= self._forgotten

    def _each(self, first: int, end: int, *, most: bool) -> Iterator[int]:
        """The units of each slot from `first` on, before `end`."""
        size = self._size
        if most:
            return (self._most[slot % size] for slot in range(first, end))
        return (self._open[slot % size] + self._used[slot % size] for slot in range(first, end))

    def state(self) -> SlotsState:
        """The slots that are not empty: number, most, open, used."""
        size = self._size
        slots = ((slot, slot % size) for slot in range(self._forgotten, self._forgotten + size))
        return [
            [slot, self._most[at], self._open[at], self._used[at]] for slot, at in slots if self._most[at]
        ]

    def restore(self, state: SlotsState, now_ns: int) -> None:
        """Take up what `state` returned, in an empty window, at a later time."""
        self.advance(now_ns)
        for slot, most, opened, used in state:
            self._change(slot * self.slot_ns, most, opened, used)
