"""Bounds of memory and storage: bytes held at once, and bytes used up in a span of time, by holder."""

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
            raise OverloadedError("too many request bytes of this caller are under way", retry_after_s=1.0)
        self._shares[holder] = share_bytes
        self.held_bytes += size_bytes

    def give_back(self, size_bytes: int, holder: str) -> None:
        """Return what was taken."""
        self.held_bytes -= size_bytes
        left_bytes = self._shares.get(holder, 0) - size_bytes
        if left_bytes:
            self._shares[holder] = left_bytes
        else:
            self._shares.pop(holder, None)


class ByteRation:
    """Bytes that one holder may use up in a span of time: never more than `share_bytes` in any such span.

    Counted by the hour, and an hour counts until the span is over for all of it. Nothing of an hour
    that no longer counts is remembered.
    """

    def __init__(self, share_bytes: int, span_hours: int) -> None:
        self._share_bytes = share_bytes
        self._span_hours = span_hours
        self._hours: dict[int, Counter[str]] = {}

    def take(self, size_bytes: int, holder: str, now_ns: int) -> bool:
        """Use up bytes, if the holder has so many left."""
        hour = now_ns // HOUR_NS
        for old in [each for each in self._hours if each < hour - self._span_hours]:
            del self._hours[old]
        if sum(used[holder] for used in self._hours.values()) + size_bytes > self._share_bytes:
            return False
        self._hours.setdefault(hour, Counter())[holder] += size_bytes
        return True
