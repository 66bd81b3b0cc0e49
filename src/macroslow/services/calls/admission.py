"""Waiting for room at a provider instead of being refused by it: the way in and out of every call.

A call that a limit would refuse now waits here, in fair order and for a bounded time. Only one that
has waited that long, or that finds the queue full, is refused, with the time after which it would
pass. A caller that goes away while it waits leaves nothing behind.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

from macroslow.limits.admission import AccountQuota, Demand, Ended, LineReport, Quota
from macroslow.limits.allowance import LONGEST_CALL_NS, Recent
from macroslow.limits.ports import RateStore
from macroslow.ports import NS_PER_S, Clock, Entropy
from macroslow.services.calls.admission_line import LocalLine, Place
from macroslow.services.calls.admission_shared import SharedLine

__all__ = ["Admission", "Place"]

WHOLE: Final = 10
ALONE: Final = 9  # tenths of the queue that one principal may fill where nobody else waits
BESIDE_OTHERS: Final = 5


class Admission:
    """The lines of all providers and models. One instance a process; for one event loop."""

    def __init__(
        self,
        lines: Mapping[tuple[str, str], Sequence[AccountQuota]],
        clock: Clock,
        entropy: Entropy,
        *,
        store: RateStore | None = None,
        max_wait_s: float = 30.0,
        max_waiting: int = 2000,
        observe: bool = False,
    ) -> None:
        """`lines` by names of provider and model; what is not in it is one account without limits.

        At most `max_waiting` calls wait; of one principal half as many, where others wait too. With a
        `store` several processes share the accounts. `observe`: all is counted here, nothing waits.
        """
        self._quotas = lines
        self._clock = clock
        self._entropy = entropy
        self._store = None if observe else store
        self._max_wait_s = max_wait_s
        self._max_waiting = max_waiting
        self._observe = observe
        self._lines: dict[tuple[str, str], LocalLine | SharedLine] = {}
        self._waiting: Counter[str] = Counter()

    def most_tokens(self, provider: str, model: str) -> int | None:
        """The most tokens that one call could be let in with; None: no limit is known."""
        if self._observe:
            return None
        return self._line(provider, model).most_tokens()

    def waiting(self) -> int:
        """How many calls wait just now, everywhere."""
        return self._waiting.total()

    async def enter(
        self,
        provider: str,
        model: str,
        demand: Demand,
        *,
        wait_s: float | None = None,
    ) -> Place:
        """A place for a call, when an account has room.

        Waits at most `wait_s`. Raises RateLimitedError if that is too short or too many wait already,
        UpstreamUnavailableError while every such account rests after failures, and OverloadedError if the
        store cannot be reached. Cancelling leaves nothing behind.
        """
        line = self._line(provider, model)
        if self._observe and isinstance(line, LocalLine):
            return line.enter_anyway(demand)
        if wait_s is None:
            wait_s = self._max_wait_s
        return line.at_once(demand, wait_s) or await self._wait(line, demand, wait_s)

    def enter_alone(self, provider: str, model: str, demand: Demand, account: str) -> Place:
        """A place at an account that is no one else's and has no limits here: a caller's own key.

        What its provider says about it concerns no other call, so nothing of it is kept.
        """
        quotas = (AccountQuota(account, Quota()),)
        line = LocalLine((provider, model), quotas, self._clock, self._entropy, LONGEST_CALL_NS)
        return line.enter_anyway(demand)

    async def _wait(self, line: LocalLine | SharedLine, demand: Demand, wait_s: float) -> Place:
        principal = demand.principal
        if not self._may_wait(principal):
            raise line.refusal(demand, max_behind_ns=int(self._max_wait_s * NS_PER_S))
        self._waiting[principal] += 1
        try:
            return await line.wait(demand, wait_s)
        finally:
            self._waiting[principal] -= 1
            if not self._waiting[principal]:
                del self._waiting[principal]

    def _may_wait(self, principal: str) -> bool:
        """Half of the queue is anyone's; of the other half, whoever waits alone leaves a tenth for others."""
        waiting, own = self._waiting.total(), self._waiting[principal]
        share = ALONE if waiting == own else BESIDE_OTHERS
        return waiting < self._max_waiting and own < -(-self._max_waiting * share // WHOLE)

    def heard(self, place: Place, headers: Mapping[str, str]) -> None:
        """The head of the answer came: learn from it. Names of headers are lower-case."""
        place.line.heard(place, headers)

    def leave(self, place: Place, ended: Ended) -> None:
        """The call is over. Once for each place."""
        place.line.leave(place, ended)

    def withdraw(self, place: Place) -> None:
        """The call never went out: nothing of it is counted. Instead of `leave`."""
        place.line.withdraw(place)

    def seed(self, provider: str, model: str, calls: Sequence[Recent]) -> None:
        """Count calls of before our start, that a crash forgets nothing that the provider still counts.

        Each at the account that it can have gone to: see `limits.seeding`.
        """
        self._line(provider, model).seed(calls)

    async def close(self) -> None:
        """Bring to the store what is on its way there."""
        await asyncio.gather(*(line.close() for line in self._lines.values()))

    def report(self) -> list[LineReport]:
        """Every account of every line that was used."""
        return [report for line in self._lines.values() for report in line.report()]

    def _line(self, provider: str, model: str) -> LocalLine | SharedLine:
        key = (provider, model)
        line = self._lines.get(key)
        if line is None:
            quotas = self._quotas.get(key) or (AccountQuota(provider, Quota()),)
            if self._store is None:
                line = LocalLine(key, quotas, self._clock, self._entropy, LONGEST_CALL_NS)
            else:
                line = SharedLine(key, quotas, self._clock, self._entropy, self._store)
            self._lines[key] = line
        return line
