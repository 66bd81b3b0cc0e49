"""Who is told when money runs short: shares of budgets that are reached, budgets that refused a call
because the rest was too little for it, and hours that cost too much.

Every few seconds the counters are looked at, beside the calls and not in their way. What is told is
one log entry, and the claim that it was told, in one commit: so it is told once for each counter,
period, limit and share, by one of several processes, and not again after a restart. Then webhooks are
sent. A limit that was raised is a new one, and its shares are told anew.
"""

import asyncio
import hashlib
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from macroslow.authn.keyring import KeyRing
from macroslow.authn.principal import THE_GATEWAY
from macroslow.errors import BudgetExhaustedError, ConflictError, LogUnavailableError
from macroslow.metering.budgets import CountedSpending, Scope
from macroslow.metering.ledger import Account
from macroslow.ports import DAY_NS, HOUR_NS, NS_PER_S, Clock
from macroslow.services.alerts.send_alerts import Outlet, message_of
from macroslow.services.spending.budgets_in_force import BudgetInForce, read_in_force
from macroslow.services.spending.sudden_rise import DAYS, Rise, SuddenRise
from macroslow.services.verbs import MAX_TIME_NS, utc
from macroslow.tlog.event import Event, EventType
from macroslow.tlog.ports import Append
from macroslow.workflow.books import Books
from macroslow.workflow.replies import ClaimReply

log: Final = logging.getLogger("macroslow.alerts")

LOOK_EVERY_S: Final = 5.0
MAX_REFUSED: Final = 1000  # budgets that refused between two looks; of more, the first are told
BUDGET: Final = "budget.reached"
REFUSED: Final = "budget.refused"
RISE: Final = "spending.rose"


@dataclass(frozen=True, slots=True)
class Alert:
    """One thing to tell. `claim` names it for ever; `subject` is whose personal data `facts` hold."""

    kind: str
    claim: str
    subject: str
    facts: Mapping[str, object]
    expires_ns: int


class WatchBudgets:
    """Looks at counters and tells. One instance a process."""

    def __init__(
        self,
        books: Books,
        keyring: KeyRing,
        clock: Clock,
        outlet: Outlet,
        *,
        gateway: str,
        at_percent: Sequence[int],
        sudden_rise: float,
    ) -> None:
        self._books = books
        self._keyring = keyring
        self._clock = clock
        self._outlet = outlet
        self._gateway = gateway
        self._at_percent = sorted(at_percent, reverse=True)
        self._rise = SuddenRise(sudden_rise)
        self._days: dict[str, dict[int, int]] = {}
        self._days_of: int | None = None
        self._told: set[str] = set()
        self._refused: dict[str, int] = {}
        self.raised: dict[str, int] = {BUDGET: 0, REFUSED: 0, RISE: 0}
        """Alerts that this process has told, by kind; for the metrics."""

    def refused(self, error: BudgetExhaustedError) -> None:
        """Note that a budget refused a call; the next look tells it."""
        if error.budget in self._refused or len(self._refused) < MAX_REFUSED:
            self._refused[error.budget] = error.needed_usd_micros

    async def run(self) -> None:
        """Look every few seconds. Ends by cancellation."""
        while True:
            try:
                await self.look()
            except LogUnavailableError as error:  # nothing can be spent then either
                log.warning("budgets are not watched: %s", error.detail)
            await asyncio.sleep(LOOK_EVERY_S)

    async def look(self) -> list[Alert]:
        """Tell what is to be told now, and return it. Raises LogUnavailableError."""
        now_ns = self._clock.now_ns()
        in_force = await read_in_force(self._books, now_ns)
        rises = await self._rise_alerts(in_force.keys, now_ns)
        refused = [*self._refusal_alerts(in_force.budgets)]
        self._refused.clear()
        wanted = [*self._budget_alerts(in_force.budgets), *refused, *rises]
        self._told &= {alert.claim for alert in wanted}  # what is past is not remembered here
        return [alert for alert in wanted if await self._tell(alert, now_ns)]

    def _budget_alerts(self, budgets: Iterable[BudgetInForce]) -> Iterable[Alert]:
        for budget in budgets:
            percent = reached(budget.account.spent_usd_micros, budget.limit_usd_micros, self._at_percent)
            if percent is not None:
                claim = f"alert {budget.account.id} {budget.limit_usd_micros} {percent}"
                yield self._budget_alert(BUDGET, claim, budget, {"percent": percent})

    def _refusal_alerts(self, budgets: Iterable[BudgetInForce]) -> Iterable[Alert]:
        """Of a run's own budget nothing is told: it is its caller's that counts."""
        for budget in budgets:
            needed_usd_micros = self._refused.get(budget.account.id)
            if needed_usd_micros is not None:
                claim = f"alert refused {budget.account.id} {budget.limit_usd_micros}"
                yield self._budget_alert(REFUSED, claim, budget, {"needed_usd_micros": needed_usd_micros})

    def _budget_alert(
        self, kind: str, claim: str, budget: BudgetInForce, more: Mapping[str, object]
    ) -> Alert:
        account, resets_s = budget.account, budget.account.resets_s
        facts = {
            "budget": account.id,
            **more,
            "limit_usd_micros": account.limit_usd_micros,
            "spent_usd_micros": account.spent_usd_micros,
            "held_usd_micros": account.held_usd_micros,
            "resets_at": None if resets_s is None else utc(resets_s * NS_PER_S),
        }
        expires_ns = MAX_TIME_NS if resets_s is None else min(MAX_TIME_NS, resets_s * NS_PER_S + DAY_NS)
        return Alert(kind, claim, self._subject(budget.counted), facts, expires_ns)

    async def _rise_alerts(self, keys: Mapping[str, Account], now_ns: int) -> list[Alert]:
        spent = {key_id: account.spent_usd_micros for key_id, account in keys.items()}
        days = await self._last_days(now_ns // DAY_NS)
        return [self._rise_alert(rise, now_ns) for rise in self._rise.look(spent, days, now_ns // HOUR_NS)]

    async def _last_days(self, today: int) -> Mapping[str, Mapping[int, int]]:
        """What each key spent on each of the last days; added up once a day."""
        if self._days_of != today:
            found: dict[str, dict[int, int]] = {}
            for day in range(today - DAYS, today):
                text = utc(day * DAY_NS)[:10]
                for row in await self._books.usage("key", first_day=text, last_day=text):
                    found.setdefault(row.key, {})[day] = row.usd_micros
            self._days, self._days_of = found, today
        return self._days

    def _rise_alert(self, rise: Rise, now_ns: int) -> Alert:
        held = self._keyring.get(rise.key)
        subject = held.record.principal if held else THE_GATEWAY
        facts = {
            "key_id": rise.key,
            "principal": subject,
            "hour": utc(rise.hour * HOUR_NS),
            "hour_usd_micros": rise.hour_usd_micros,
            "usual_usd_micros": rise.usual_usd_micros,
        }
        day = now_ns // DAY_NS
        claim = f"alert rise {rise.key} {day}"  # once a day: it may go on for hours
        return Alert(RISE, claim, subject, facts, (day + 2) * DAY_NS)

    def _subject(self, counted: CountedSpending) -> str:
        """Whose personal data it is to have spent this."""
        if counted.scope is Scope.KEY:
            held = self._keyring.get(counted.name)
            return held.record.principal if held else THE_GATEWAY
        return counted.name if counted.scope is Scope.PRINCIPAL else THE_GATEWAY

    async def _tell(self, alert: Alert, now_ns: int) -> bool:
        """Log and send, unless it was told before. Whether it was told now."""
        if alert.claim in self._told:
            return False
        digest = hashlib.sha256(alert.claim.encode()).hexdigest()
        claim = ClaimReply(THE_GATEWAY, alert.claim, digest, now_ns, alert.expires_ns)
        fields = {"kind": alert.kind, **alert.facts}
        event = Event(EventType.BUDGET_ALERT, now_ns, alert.subject, fields)
        try:
            await self._books.commit(claim, Append(event))
        except ConflictError:  # told before this process began, or by another
            self._told.add(alert.claim)
            return False
        self._told.add(alert.claim)
        self.raised[alert.kind] += 1
        self._outlet.send(message_of(alert.kind, digest[:32], self._gateway, alert.facts, now_ns))
        return True


def reached(spent_usd_micros: int, limit_usd_micros: int, at_percent: Iterable[int]) -> int | None:
    """The first of `at_percent` (highest first) that the spending has reached."""
    if not limit_usd_micros:  # nothing can be spent of nothing
        return None
    return next(
        (percent for percent in at_percent if spent_usd_micros * 100 >= limit_usd_micros * percent), None
    )
