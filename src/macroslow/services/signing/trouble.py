"""One trouble that comes and goes: its beginning and its end are told, at most once a minute."""

import logging

from macroslow.ports import MINUTE_NS, Clock


class Trouble:
    """What flaps is told once a minute, and its end only if its beginning was."""

    def __init__(self, log: logging.Logger, clock: Clock) -> None:
        self._log = log
        self._clock = clock
        self._there = False
        self._is_told = False
        self._told_ns: int | None = None

    def begins(self, what: str) -> bool:
        """It is there. Return whether this was told just now."""
        now_ns = self._clock.monotonic_ns()
        is_new = not self._there
        self._there = True
        if not is_new or (self._told_ns is not None and now_ns - self._told_ns < MINUTE_NS):
            return False
        self._log.warning("%s", what)
        self._is_told, self._told_ns = True, now_ns
        return True

    def ends(self, what: str) -> None:
        """It is over, or was not there."""
        if self._is_told:
            self._log.warning("%s", what)
        self._there = self._is_told = False
