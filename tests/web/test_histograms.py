"""Histograms count what a slow and obvious count finds, however the values come."""

from bisect import bisect_left

from hypothesis import given
from hypothesis import strategies as st

from macroslow.ports import NS_PER_S
from macroslow.web.histograms import Family, Histogram

BOUNDS = [1, 4, 16, 64]
VALUES = st.lists(st.integers(0, 70) | st.sampled_from(BOUNDS))


@given(st.lists(VALUES))
def test_values_that_come_in_any_parts_are_counted_as_one_by_one(parts: list[list[int]]) -> None:
    histogram, slow = Histogram(BOUNDS), [0] * 5
    for part in parts:
        histogram.add(part)
        for value in part:
            slow[bisect_left(BOUNDS, value)] += 1
    assert histogram.seen == (slow, sum(map(sum, parts)))


def test_what_was_read_does_not_change_when_more_comes() -> None:
    histogram = Histogram(BOUNDS)
    histogram.add([5])
    counts, total = histogram.seen
    histogram.add([5, 70])
    assert (counts, total) == ([0, 0, 1, 0, 0], 5)


def test_a_bound_in_seconds_is_met_by_that_many_nanoseconds_and_passed_by_one_more() -> None:
    family = Family((0.1, 0.32), "waits", "Waiting", ("provider",), NS_PER_S)
    family.at("a").add([100_000_000, 100_000_001, 320_000_000, 320_000_001])
    [counted] = [sample for sample in family.collected().samples if sample.name == "waits_sum"]
    buckets = {one.labels["le"]: one.value for one in family.collected().samples if "le" in one.labels}
    assert buckets == {"0.1": 1, "0.32": 3, "+Inf": 4}
    assert counted.value == 0.840000002


def test_there_is_one_histogram_for_the_same_labels() -> None:
    family = Family((1.0,), "waits", "Waiting", ("provider",))
    assert family.at("a") is family.at("a")
    assert family.at("a") is not family.at("b")
