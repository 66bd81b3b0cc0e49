"""Security events: noted at once, and told in the audit log and in the server's own.

A refusal of a known principal, or of a known key for what is wrong with it, is an entry of its own up
to a rate; beyond that it is counted. A refusal of anybody else is only counted. Counts become one summary
entry per minute and reason (and principal), so that those who are refused fill neither log. Memory is
fixed: reasons of nobody are an enumeration's or error codes, and past MAX_COUNTERS everything is counted as
"other". What the operator does makes entries of its own where it changes something; here it is only told.

What is refused waits for no log: `note` only notes, `run` tells and writes. So a wrong secret of a key that
is known takes hardly longer than one of a key that is not: a few microseconds, and no line of a log.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Final

from macroslow.authn.principal import THE_GATEWAY
from macroslow.authn.refusal import STEP as AUTHENTICATION
from macroslow.authz.security import SecurityEvent, Verdict
from macroslow.errors import LogUnavailableError
from macroslow.limits.admission import per_minute
from macroslow.limits.gcra import Deferred, Limit, admit
from macroslow.ports import MINUTE_NS, NS_PER_S, Clock
from macroslow.tlog.event import Event, EventType
from macroslow.tlog.ports import Append
from macroslow.workflow.books import Books

FLUSH_S: Final = 1.0
MAX_COUNTERS: Final = 256
MAX_PENDING: Final = 1024
NOBODY: Final = THE_GATEWAY  # the subject of an entry that is about no known person
OTHER: Final = "other"
PER_PRINCIPAL: Final = per_minute("refusal entries of a principal", 30)
OF_ALL: Final = per_minute("refusal entries", 300)
PER_KEY: Final = per_minute("refusal entries of a key and reason", 5)
"""Enough for a person who tries again; a program that goes on with a key that has ended is counted."""
UNPROVED: Final = per_minute("refusal entries of keys whose secret was not shown", 60)
"""Anybody may name the id of a key: what they do so takes no room from those who showed a secret."""
log: Final = logging.getLogger("macroslow.security")


class RecordSecurity:
    """Notes events at once and writes them from a task of its own. One instance a process."""

    def __init__(self, books: Books, clock: Clock) -> None:
        self._books = books
        self._clock = clock
        self._untold: deque[SecurityEvent] = deque()
        self._pending: deque[Event] = deque()
        self._counts: dict[tuple[str, str], int] = {}
        self._window_ns = clock.now_ns()
        self._tats_ns: dict[tuple[Limit, str], int] = {}

    def note(self, event: SecurityEvent) -> None:
        """Note a decision."""
        if event.verdict is Verdict.ALLOWED:
            _tell(event.fields())
        elif len(self._pending) < MAX_PENDING and self._may_write(event):
            self._untold.append(event)
            self._pending.append(
                Event(EventType.REFUSED, event.time_ns, event.principal or NOBODY, event.fields())
            )
        else:
            self._count(event.principal or NOBODY, event.reason)

    async def run(self) -> None:
        """Write what was noted, until cancelled; what is still pending then is written by `flush`."""
        while True:
            await asyncio.sleep(FLUSH_S)
            try:
                await self.flush()
            except LogUnavailableError:
                continue  # readiness says so already; the counts are kept and written later

    async def flush(self, *, closing: bool = False) -> None:
        """Write the pending entries, and the summaries if their minute is over or the gateway ends.

        Raises LogUnavailableError; then nothing is lost but the order.
        """
        while self._untold:
            _tell(self._untold.popleft().fields())
        now_ns = self._clock.now_ns()
        pending, counts, since_ns = self._pending, {}, self._window_ns
        self._pending = deque()
        if closing or now_ns - since_ns >= MINUTE_NS:
            counts, self._counts, self._window_ns = self._counts, {}, now_ns
            self._forget_idle()
        summaries = _summaries(counts, since_ns, now_ns)
        events = [*pending, *summaries]
        if not events:
            return
        try:
            await self._books.commit(*(Append(event) for event in events))
        except LogUnavailableError:
            self._pending.extendleft(reversed(pending))
            for (subject, reason), count in counts.items():
                self._count(subject, reason, count)
            raise
        for summary in summaries:
            _tell({"verdict": Verdict.REFUSED, "principal": summary.subject, **summary.fields})

    def _may_write(self, event: SecurityEvent) -> bool:
        """Whether another entry of its own fits everything that bounds it."""
        now_ns = self._clock.monotonic_ns()
        granted: dict[tuple[Limit, str], int] = {}
        for bound in _bounds(event):
            decision = admit(bound[0], self._tats_ns.get(bound, 0), now_ns)
            if isinstance(decision, Deferred):
                return False
            granted[bound] = decision.tat_ns
        self._tats_ns.update(granted)
        return bool(granted)

    def _forget_idle(self) -> None:
        """Forget those who are back at their whole rate: the rates of all bound how many are not."""
        now_ns = self._clock.monotonic_ns()
        self._tats_ns = {whose: tat_ns for whose, tat_ns in self._tats_ns.items() if tat_ns > now_ns}

    def _count(self, subject: str, reason: str, count: int = 1) -> None:
        key = (subject, reason)
        if key not in self._counts and len(self._counts) >= MAX_COUNTERS:
            key = (NOBODY, OTHER)
        self._counts[key] = self._counts.get(key, 0) + count


def _bounds(event: SecurityEvent) -> Sequence[tuple[Limit, str]]:
    """The limits that bound entries like this one, and whose each is; none: it is only counted."""
    if event.key_id and event.step == AUTHENTICATION:
        of_all = OF_ALL if event.principal else UNPROVED
        return (PER_KEY, f"{event.key_id} {event.reason}"), (of_all, NOBODY)
    return ((PER_PRINCIPAL, event.principal), (OF_ALL, NOBODY)) if event.principal else ()


def _summaries(counts: Mapping[tuple[str, str], int], since_ns: int, until_ns: int) -> list[Event]:
    span = {"from_s": since_ns // NS_PER_S, "until_s": until_ns // NS_PER_S}
    return [
        Event(EventType.REFUSALS_SUMMARY, until_ns, subject, {"reason": reason, "count": count, **span})
        for (subject, reason), count in counts.items()
    ]


def _tell(fields: Mapping[str, object]) -> None:
    """One line in the server's own log; a collector reads the fields from `record.security`."""
    words = " ".join(f"{name}={told}" for name, told in fields.items())
    log.info("%s", words, extra={"security": fields})
