"""Histograms for Prometheus that take many values at once, which costs a fraction of one after the other.

Inside are whole numbers, in a unit of which `per` make the one that is shown: nanoseconds and seconds. So a
sum is exact, however many there are.

One thread adds. Others may read meanwhile, and find each histogram as it was before the values or after them.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import accumulate

from prometheus_client.core import HistogramMetricFamily

Labels = tuple[str, ...]


class Histogram:
    """How often values fell between bounds. `seen` is that, and their sum, of one moment."""

    __slots__ = ("_bounds", "seen")

    def __init__(self, bounds: Sequence[int]) -> None:
        self._bounds = bounds
        self.seen = ([0] * (len(bounds) + 1), 0)

    def add(self, values: Iterable[int]) -> None:
        """Count some values; one that is a bound is below it."""
        rising = sorted(values)
        if not rising:
            return
        counts, total = self.seen
        counts, below = counts.copy(), 0
        for at, bound in enumerate(self._bounds):
            up_to = bisect_right(rising, bound, below)
            counts[at] += up_to - below
            below = up_to
        counts[-1] += len(rising) - below
        self.seen = (counts, total + sum(rising))


class Family:
    """Histograms of one name by their labels."""

    def __init__(
        self, bounds: Sequence[float], name: str, text: str, labels: Sequence[str], per: int = 1
    ) -> None:
        self._shown = [*map(str, bounds), "+Inf"]
        self._bounds = [round(bound * per) for bound in bounds]
        self._described = (name, text, labels)
        self._per = per
        self._histograms: dict[Labels, Histogram] = {}

    def at(self, *labels: str) -> Histogram:
        """The one with these labels, made at need."""
        return self._histograms.setdefault(labels, Histogram(self._bounds))

    def collected(self) -> HistogramMetricFamily:
        """As Prometheus has it."""
        name, text, labels = self._described
        found = HistogramMetricFamily(name, text, labels=labels)
        for key, one in list(self._histograms.items()):
            counts, total = one.seen
            buckets = list(zip(self._shown, accumulate(counts), strict=True))
            found.add_metric(key, buckets, total / self._per)
        return found
