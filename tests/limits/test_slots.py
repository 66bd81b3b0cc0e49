"""The sliding window against a list of everything that was ever let in."""

from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from macroslow.limits.slots import Slots

S = 10**9
PERIOD_NS, SLOT_NS, ARRIVAL_NS, REMEMBER_NS = 10 * S, S // 4, S, 3 * S
START_NS = 10**14 + 12345


@dataclass
class Call:
    at_ns: int
    most: int
    used: int | None = None

    @property
    def counted(self) -> int:
        return self.most if self.used is None else self.used

    @property
    def counted_most(self) -> int:
        return max(self.most, self.used or 0)


steps = st.lists(
    st.tuples(
        st.sampled_from(["in", "in", "end", "back", "wait"]),
        st.integers(0, 3 * S),
        st.integers(1, 50),
        st.integers(0, 60),
        st.integers(0, 100),
    ),
    max_size=50,
)


def play(history) -> tuple[Slots, list[Call], int]:
    """The window, the calls that were let in, and the time at the end."""
    slots, calls, now_ns = Slots(PERIOD_NS, SLOT_NS, ARRIVAL_NS, REMEMBER_NS), [], START_NS
    slots.advance(now_ns)
    for kind, gap_ns, most, used, which in history:
        now_ns += gap_ns * (20 if which == 100 and kind == "wait" else 1)
        slots.advance(now_ns)
        pending = [call for call in calls if call.used is None]
        if kind == "in":
            slots.add(now_ns, most, now_ns)
            calls.append(Call(now_ns, most))
        elif kind == "end" and pending:
            call = pending[which % len(pending)]
            slots.end(call.at_ns, call.most, used)
            call.used = used
        elif kind == "back" and pending:
            call = pending[which % len(pending)]
            slots.take_back(call.at_ns, call.most)
            calls.remove(call)
    return slots, calls, now_ns


@settings(max_examples=60)
@given(steps)
def test_it_holds_all_of_the_true_window_and_little_more(history):
    slots, calls, now_ns = play(history)
    surely = [c for c in calls if c.at_ns + ARRIVAL_NS > now_ns - PERIOD_NS]
    at_most = [c for c in calls if c.at_ns > now_ns - PERIOD_NS - ARRIVAL_NS - SLOT_NS]
    assert sum(c.counted for c in surely) <= slots.taken(most=False) <= sum(c.counted for c in at_most)
    assert sum(c.counted_most for c in surely) <= slots.taken(most=True)
    assert slots.taken(most=True) <= sum(c.counted_most for c in at_most)
    slots.advance(now_ns + PERIOD_NS + ARRIVAL_NS + SLOT_NS)
    assert (slots.most, slots.open, slots.used) == (0, 0, 0)


@settings(max_examples=60)
@given(steps, st.integers(0, 400), st.booleans())
def test_the_time_at_which_something_fits_is_exact(history, room, most):
    slots, _, now_ns = play(history)
    fits_ns = slots.fits_ns(room, now_ns, most=most)
    assert (fits_ns == now_ns) == (slots.taken(most=most) <= room)
    assert slots.left_at(fits_ns, most=most) <= room
    if fits_ns > now_ns:
        assert slots.left_at(fits_ns - 1, most=most) > room
        slots.advance(fits_ns - 1)
        assert slots.taken(most=most) > room
        slots.advance(fits_ns)
        assert slots.taken(most=most) <= room


@settings(max_examples=60)
@given(steps, st.integers(0, 13 * S), st.booleans())
def test_bounds_enclose_what_was_let_in_since(history, since_ns, most):
    slots, calls, now_ns = play(history)
    since_ns = now_ns - since_ns
    if not slots.remembers(since_ns):
        assert since_ns < now_ns - PERIOD_NS - ARRIVAL_NS - REMEMBER_NS + 2 * SLOT_NS
        return
    lately = [c for c in calls if c.at_ns >= since_ns]
    until_ns = now_ns - S
    known = [c.counted_most if most else c.used or 0 for c in lately if c.at_ns < until_ns]
    assert slots.certain(since_ns, until_ns, most=most) <= sum(known)
    everything = sum(c.counted_most if most else c.counted for c in lately)
    assert everything <= slots.possible(since_ns, most=most)


@settings(max_examples=60)
@given(steps, st.integers(0, 30 * S), st.integers(0, 60))
def test_a_window_that_was_stored_goes_on_as_if_it_had_not_been(history, later_ns, used):
    slots, calls, now_ns = play(history)
    restored = Slots(PERIOD_NS, SLOT_NS, ARRIVAL_NS, REMEMBER_NS)
    now_ns += later_ns
    restored.restore(slots.state(), now_ns)
    slots.advance(now_ns)
    for each in (slots, restored):
        for call in calls:
            if call.used is None:
                each.end(call.at_ns, call.most, used)
    assert (restored.most, restored.open, restored.used) == (slots.most, slots.open, slots.used)
    assert restored.state() == slots.state()


def test_the_end_of_a_call_that_has_left_the_window_changes_nothing():
    slots = Slots(PERIOD_NS, SLOT_NS, ARRIVAL_NS)
    slots.add(START_NS, 100, START_NS)
    slots.advance(START_NS + 100 * S)
    slots.end(START_NS, 100, 50)
    slots.take_back(START_NS, 100)
    assert (slots.most, slots.open, slots.used, slots.state()) == (0, 0, 0, [])
