"""Security events: noted at once, and told in the audit log and in the server's own.

A refusal of a known principal is an entry of its own up to a rate; beyond that it is counted. A
refusal before authentication is only counted. Counts become one summary entry per minute and
reason (and principal), so that those who are refused fill neither log. Memory is fixed: reasons of nobody
are an enumeration's or error codes, and past MAX_COUNTERS everything is counted as "other". What the
operator does makes entries of its own where it changes something; here it is only told.

What is refused waits for no log: `note` only notes; `run` writes.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Mapping
from typing import Final

from macroslow.authn.principal import THE_GATEWAY
from macroslow.authz.security import SecurityEvent, Verdict
from macroslow.errors import LogUnavailableError
from macroslow.limits.admission import per_minute
from macroslow.limits.gcra import Deferred, admit
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
log: Final = logging.getLogger("macroslow.security")


class RecordSecurity:
    """Notes events at once and writes them from a task of its own. One instance a process."""

    def __init__(self, books: Books, clock: Clock) -> None:
        self._books = books
        self._clock = clock
        self._pending: deque[Event] = deque()
        self._counts: dict[tuple[str, str], int] = {}
        self._window_ns = clock.now_ns()
        self._tats_ns: dict[str, int] = {}
        self._tat_of_all_ns = 0

    def note(self, event: SecurityEvent) -> None:
        """Note a decision."""
        if event.verdict is Verdict.ALLOWED:
            _tell(event.fields())
        elif event.principal and len(self._pending) < MAX_PENDING and self._may_write(event.principal):
            fields = event.fields()
            _tell(fields)
            self._pending.append(Event(EventType.REFUSED, event.time_ns, event.principal, fields))
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
        now_ns = self._clock.now_ns()
        pending, counts, since_ns = self._pending, {}, self._window_ns
        self._pending = deque()
        if closing or now_ns - since_ns >= MINUTE_NS:
            counts, self._counts, self._window_ns = self._counts, {}, now_ns
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

    def _may_write(self, principal: str) -> bool:
        """Whether another entry of its own fits the principal's rate and everybody's."""
        now_ns = self._clock.monotonic_ns()
        own = admit(PER_PRINCIPAL, self._tats_ns.get(principal, 0), now_ns)
        of_all = admit(OF_ALL, self._tat_of_all_ns, now_ns)
        if isinstance(own, Deferred) or isinstance(of_all, Deferred):
            return False
        # Principals are the operator's keys, and of tokens at most so many subjects (`verify_tokens`): this
        # mapping does not grow with what callers send.
        self._tats_ns[principal] = own.tat_ns
        self._tat_of_all_ns = of_all.tat_ns
        return True

    def _count(self, subject: str, reason: str, count: int = 1) -> None:
        key = (subject, reason)
        if key not in self._counts and len(self._counts) >= MAX_COUNTERS:
            key = (NOBODY, OTHER)
        self._counts[key] = self._counts.get(key, 0) + count


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
