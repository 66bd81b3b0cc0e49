"""Requests counted by whoever makes them: one GCRA state each (`limits.gcra`), in bounded memory."""

from macroslow.errors import RateLimitedError
from macroslow.limits.gcra import Deferred, Limit, admit
from macroslow.ports import NS_PER_S, Clock


class Tallies:
    """One GCRA state a key, for at most `capacity` keys: the one unused for longest is forgotten."""

    def __init__(self, clock: Clock, capacity: int) -> None:
        self._clock = clock
        self._capacity = capacity
        self._tats_ns: dict[str, int] = {}

    def admit(self, key: str, limit: Limit, whose: str, fix: str = "") -> int:
        """Count one request; nanoseconds until all are back. RateLimitedError if it is one too many.

        That says `whose` limit it is, and in `fix` how to come by more.
        """
        now_ns = self._clock.monotonic_ns()
        decision = admit(limit, self._tats_ns.get(key, 0), now_ns)
        if isinstance(decision, Deferred):
            raise RateLimitedError(
                f"{whose} may have {limit.count} {limit.name} in {limit.period_ns // NS_PER_S} s",
                fix=fix,
                limit=limit.name,
                count=limit.count,
                period_s=limit.period_ns // NS_PER_S,
                retry_after_s=decision.retry_after_ns / NS_PER_S,
            )
        self._tats_ns.pop(key, None)  # so that the order of the dictionary is that of use
        self._tats_ns[key] = decision.tat_ns
        if len(self._tats_ns) > self._capacity:
            del self._tats_ns[next(iter(self._tats_ns))]
        return decision.tat_ns - now_ns
