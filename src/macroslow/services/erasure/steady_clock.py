"""Whether the machine's clock may be believed with what cannot be undone.

A clock that is years ahead for an hour would end every retention at once. So it is believed only once it has
been steady for a day that the monotonic clock counted: at each look of that day the log's newest entry was
within a week of it, and it went on as the monotonic clock did, within a week too. A gateway that was
suspended, or that nobody used for a week, waits a day longer than it would have to. Against a clock that
stays wrong for longer than a day this is no help: entries are then dated by it as well.
"""

from typing import Final, NamedTuple

from macroslow.ports import DAY_NS, Clock
from macroslow.tlog.leaf import parse_leaf
from macroslow.workflow.books import Books

GAP_NS: Final = 7 * DAY_NS
STEADY_NS: Final = DAY_NS


class _Look(NamedTuple):
    now_ns: int
    monotonic_ns: int


class SteadyClock:
    """Looks at the clock whenever it is asked."""

    def __init__(self, books: Books, clock: Clock) -> None:
        self._books = books
        self._clock = clock
        self._since: _Look | None = None  # from when on every look found it steady

    async def is_steady(self) -> bool:
        """Look. True if it has been steady for a day of looks."""
        look = _Look(self._clock.now_ns(), self._clock.monotonic_ns())
        since = self._since or look
        passed_ns = look.monotonic_ns - since.monotonic_ns
        newest_ns = await self._newest_ns()
        if newest_ns is None or abs(look.now_ns - newest_ns) > GAP_NS:
            self._since = None
            return False
        if abs(look.now_ns - since.now_ns - passed_ns) > GAP_NS:
            since, passed_ns = look, 0
        self._since = since
        return passed_ns >= STEADY_NS

    async def _newest_ns(self) -> int | None:
        size = (await self._books.head()).size
        leaves = await self._books.leaves(size - 1, size) if size else []
        return parse_leaf(leaves[0]).time_ns if leaves else None
