"""Bounds of memory and storage: bytes held at once, and what is used up in a span of time, by holder."""

from collections import Counter

from macroslow.errors import OverloadedError
from macroslow.ports import HOUR_NS


class ByteBudget:
    """Bytes of requests that the process holds at once, for all callers together.

    One holder gets at most `share_bytes` of them, or who announces much and sends nothing would
    keep all others out.
    """

    def __init__(self, capacity_bytes: int, share_bytes: int | None = None) -> None:
        self._capacity_bytes = capacity_bytes
        self._share_bytes = capacity_bytes if share_bytes is None else share_bytes
        self._shares: dict[str, int] = {}
        self.held_bytes = 0

    def take(self, size_bytes: int, holder: str) -> None:
        """Take bytes before they are read. OverloadedError if they do not fit: waiting would hold more."""
        share_bytes = self._shares.get(holder, 0) + size_bytes
        if self.held_bytes + size_bytes > self._capacity_bytes:
            raise OverloadedError("too many request bytes are under way", retry_after_s=1.0)
        if share_bytes > self._share_bytes:
            raise OverloadedError(
                "too many bytes of this caller are under way, in requests and in answers that are not read",
                retry_after_s=1.0,
            )
        self._shares[holder] = share_bytes
        self.held_bytes += size_bytes

    def give_back(self, size_bytes: int, holder: str) -> None:
        """Return what was taken."""
        self.held_bytes -= size_bytes
        self.let_go(size_bytes, holder)

    def hold(self, size_bytes: int, holder: str) -> None:
        """Count what is there already, however much it is, in the holder's share alone.

        It is his to make room in: nobody else is refused for it.
        """
        self._shares[holder] = self._shares.get(holder, 0) + size_bytes

    def let_go(self, size_bytes: int, holder: str) -> None:
        """What was held is gone."""
        left_bytes = self._shares.get(holder, 0) - size_bytes
        if left_bytes:
            self._shares[holder] = left_bytes
        else:
            self._shares.pop(holder, None)


class Ration:
    """What may be used up in a span of time: in no such span more than the share by one holder, nor more
    than the whole by all. The units are the caller's: bytes, or things of a kind.

    Counted by the hour, and an hour counts until the span is over for all of it. Nothing of an hour
    that no longer counts is remembered.
    """

    def __init__(self, whole: int, share: int, span_hours: int) -> None:
        self._whole = whole
        self._share = share
        self._span_hours = span_hours
        self._hours: dict[int, Counter[str | None]] = {}  # by holder, and under None by all

    def take(self, units: int, holder: str, now_ns: int) -> bool:
        """Use up `units`, if there are so many left for the holder."""
        hour = now_ns // HOUR_NS
        for old in [each for each in self._hours if each < hour - self._span_hours]:
            del self._hours[old]
        if self._used(holder) + units > self._share or self._used(None) + units > self._whole:
            return False
        self._hours.setdefault(hour, Counter()).update({holder: units, None: units})
        return True

    def give_back(self, units: int, holder: str, taken_ns: int) -> None:
        """Return what was taken at `taken_ns`."""
        used = self._hours.get(taken_ns // HOUR_NS)
        if used is not None:
            used.subtract({holder: units, None: units})

    def frees_ns(self, now_ns: int) -> int:
        """How long the oldest hour still counts: until then only what is given back makes room."""
        return (min(self._hours, default=now_ns // HOUR_NS) + self._span_hours + 1) * HOUR_NS - now_ns

    def _used(self, holder: str | None) -> int:
        return sum(used[holder] for used in self._hours.values())
