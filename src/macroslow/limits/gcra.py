"""Rate limiting by the generic cell rate algorithm (GCRA): one integer of state.

Each admitted unit moves a virtual clock, the *theoretical arrival time* (TAT), one
emission interval forward. A request is admitted while the TAT runs no further ahead
of real time than the burst allows. The same arithmetic serves requests (cost 1) and
model tokens (cost n), in memory or inside a single database update.

Pure functions over integers: no clock, lock or store here. Callers keep one TAT per
(limit, principal) and pass `now_ns` from one clock: the store's, if processes share it.

Source: ITU-T Recommendation I.371, GCRA in its virtual scheduling form.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limit:
    """`count` units per `period_ns` nanoseconds, up to `burst` of them at once."""

    name: str
    count: int
    period_ns: int
    burst: int

    def __post_init__(self) -> None:
        if min(self.count, self.period_ns, self.burst) < 1:
            raise ValueError(f"limit {self.name!r}: a count, period or burst below 1")

    @property
    def interval_ns(self) -> int:
        """Nanoseconds per unit, rounded up so that rounding never admits too much."""
        return -(-self.period_ns // self.count)


@dataclass(frozen=True, slots=True)
class Admitted:
    """Go ahead, and store `tat_ns`. Keep this until `settle` if `cost` was a guess."""

    tat_ns: int
    cost: int


@dataclass(frozen=True, slots=True)
class Deferred:
    """Not now. The stored TAT stays as it was, so refusals cost nobody anything."""

    retry_after_ns: int


def admit(limit: Limit, tat_ns: int, now_ns: int, cost: int = 1) -> Admitted | Deferred:
    """Decide one request; `tat_ns` is the stored TAT, or 0 for a key never seen.

    With no other traffic, a deferred request passes after exactly `retry_after_ns`.
    Raises ValueError if `cost` is not in 1..burst, since no wait would ever help.
    """
    if not 1 <= cost <= limit.burst:
        raise ValueError(f"limit {limit.name!r}: cost {cost} is not in 1..{limit.burst}")
    next_tat_ns = max(tat_ns, now_ns) + cost * limit.interval_ns
    excess_ns = next_tat_ns - now_ns - limit.burst * limit.interval_ns
    if excess_ns > 0:
        return Deferred(retry_after_ns=excess_ns)
    return Admitted(tat_ns=next_tat_ns, cost=cost)


def settle(limit: Limit, tat_ns: int, now_ns: int, granted: Admitted, actual: int) -> int:
    """The TAT to store once the true cost of `granted` is known.

    Unused units come back only as far as time has not returned them already, or a
    late settlement would hand them out twice. An overrun is charged from now on.
    """
    unused_ns = (granted.cost - actual) * limit.interval_ns
    if unused_ns < 0:  # more was used than reserved
        return max(tat_ns, now_ns) - unused_ns
    return tat_ns - min(unused_ns, max(0, granted.tat_ns - now_ns))
