"""Money held and spent: accounts in a tree, and the changes that move it. Integers of micro-dollars.

An account's `held` is money promised to work under way, `spent` is money gone. A reservation
raises `held` before the work; its settlement lowers `held` by the same amount and raises `spent`
by the true cost. A child account (a run's) has its whole limit held in its parent when it opens;
what its calls cost moves from the parent's `held` to the parent's `spent`, and closing it returns
the rest. So for every account at every commit: spent + held <= limit, and the sum of the ledger's
rows equals the counters.

A budget (a day's, a team's) is a counter beside that tree: a reservation is held in its account and
in each budget that it names, and its settlement moves the same counters, whatever day it is by then.

The rules by which money moves are `metering.accounts`.
"""

import enum
from dataclasses import dataclass
from typing import Final, Protocol

from macroslow.values import value

MAX_COUNT: Final = 2**53 - 1
"""Largest amount, token count or counter: what every JSON reader holds exactly. Nine billion dollars."""

MAX_TAG_BUDGETS: Final = 1_000
"""Tags are their clients' own words: so many of their budgets are looked at, however many there are."""

USAGE_GROUPS: Final = ("key", "principal", "team", "model", "provider", "tag", "day")
"""What spending can be grouped by."""


class CallOutcome(enum.StrEnum):
    """How a call ended. Words stand in the log, places in the ledger: only append."""

    OK = "ok"
    REFUSED = "refused"  # nothing owed
    ABORTED = "aborted"  # the client hung up
    UNKNOWN = "unknown"  # broken off, or a crash: charged in full


OUTCOMES: Final = tuple(CallOutcome)
"""By their number in the ledger."""


@value
class Account:
    """The state of one account. `limit_usd_micros` None means no budget of its own.

    A child without a limit holds in its parent just what it holds itself. A closed account
    takes no new reservations; what is under way in it still settles. A `counter` is a budget's: the
    reservations that name the budget make it and hold in it; nobody opens, closes or pays from it.
    `resets_s` is when the period of a counter ends, as the budget that made it said; None: never.
    """

    id: str
    parent: str | None
    limit_usd_micros: int | None
    spent_usd_micros: int
    held_usd_micros: int
    closed: bool = False
    counter: bool = False
    resets_s: int | None = None

    @property
    def left_usd_micros(self) -> int | None:
        """What may still be reserved by its own budget, which may have been overdrawn; None: it has none."""
        if self.limit_usd_micros is None:
            return None
        return max(0, self.limit_usd_micros - self.spent_usd_micros - self.held_usd_micros)


@value
class Usage:
    """What one call used and cost."""

    input_tokens: int
    output_tokens: int
    usd_micros: int


@dataclass(frozen=True, slots=True)
class OpenAccount:
    """Create an account if it does not exist, else set its limit. A child holds its limit in its parent.

    Refused with BudgetExhaustedError if the parent has no room for the limit, unless `enforced` is False
    (an operator who only observes); with ConflictError if the account or its parent is closed, or it has
    another parent. A limit may be set below what is spent and held: then nothing more can be reserved.
    """

    id: str
    limit_usd_micros: int | None
    parent: str | None = None
    enforced: bool = True


@dataclass(frozen=True, slots=True)
class CloseAccount:
    """Close a child account: its parent's hold on what was not spent is lifted. Idempotent.

    What open reservations in it hold stays held in the parent until they are settled.
    """

    id: str


@value
class Budget:
    """A limit on what is spent through one counter, besides the account that pays.

    The counter is the account `id` (say `tag/ci/day/2026-01-31`); it begins at nothing with the first
    reservation that names it. The limit comes with every reservation, so that whoever changes it in a
    configuration changes no money; the counter keeps the newest for reports. `resets_s` is when the
    period ends (seconds since 1970), None: never; the counter keeps the first.
    """

    id: str
    limit_usd_micros: int
    resets_s: int | None = None


@value
class Reserve:
    """Hold `usd_micros` in `account`, and in every one of `budgets`, for one call: all or nothing.

    BudgetExhaustedError names the first that has no room: the account, those above it, then the budgets
    in their order. Unless `enforced` is False: then it is held over the limit (an operator who only
    observes). A budget named twice is ValueError, one named like an account ConflictError. An unknown
    account is NotFoundError, never a free pass; a closed one, or an `id` that was used before, is
    ConflictError. `team`, `tag` and `run_id` are empty when there is none. Ids that begin with their
    time keep a store's index of them quick; random ones work as well. `owner` is the process that will
    settle it; it is dead, or past `expires_ns`, before anybody else may.
    """

    id: str
    account: str
    usd_micros: int
    principal: str
    key_id: str
    provider: str
    model: str
    created_ns: int
    owner: str
    expires_ns: int
    tag: str = ""
    run_id: str = ""
    team: str = ""
    budgets: tuple[Budget, ...] = ()
    enforced: bool = True


@value
class Settle:
    """Turn a reservation into its true cost. Idempotent by id: the first settlement stands.

    A cost above the reservation is booked as it is (and is a defect of the estimate). NotFoundError
    if nothing was reserved under `id`. With `once`, ConflictError if it was settled before: so what
    stands beside it in the list (a log entry) happens once too.
    """

    id: str
    usage: Usage
    settled_ns: int
    outcome: CallOutcome
    once: bool = False


@dataclass(frozen=True, slots=True)
class OpenReservation:
    """A reservation that nobody has settled yet."""

    id: str
    account: str
    usd_micros: int
    principal: str
    key_id: str
    provider: str
    model: str
    tag: str
    run_id: str
    created_ns: int
    owner: str
    expires_ns: int


@dataclass(frozen=True, slots=True)
class UsageRow:
    """One line of the usage report: what one `key` of the grouping used.

    Grouped by key, `held` and `limit` are those of the account with the key's id; grouped
    otherwise they are 0 and None.
    """

    key: str
    calls: int
    input_tokens: int
    output_tokens: int
    usd_micros: int
    held_usd_micros: int
    limit_usd_micros: int | None


@dataclass(frozen=True, slots=True)
class DailyUsage:
    """What one model of one provider used in a day (UTC, as 2026-01-31)."""

    day: str
    model: str
    calls: int
    input_tokens: int
    output_tokens: int
    usd_micros: int


@dataclass(frozen=True, slots=True)
class RecentCall:
    """One call that was let through to a provider: `tokens` it used, None while it is open."""

    provider: str
    model: str
    created_ns: int
    tokens: int | None


@dataclass(frozen=True, slots=True)
class LedgerDifference:
    """A counter that is not what the rows add up to. `where` names the account or the total."""

    where: str
    counter: int
    rows: int


class LedgerReader(Protocol):
    """Reading the ledger. Values are those of the last commit."""

    async def account(self, account_id: str) -> Account | None: ...

    async def open_reservations(self) -> list[OpenReservation]: ...

    async def open_child_accounts(self) -> list[Account]: ...

    async def usage(
        self, by: str, *, principal: str | None = None, first_day: str = "", last_day: str = ""
    ) -> list[UsageRow]:
        """Group settled calls by a word of USAGE_GROUPS; ValueError for another.

        In order of the key; a day is that of the settlement, UTC, as 2026-01-31; `first_day` and
        `last_day` bound it where given, both inclusive. Grouped by key, a key that has an account of
        its own is listed before its first call.
        """
        ...

    async def daily_usage(self, provider: str, first_day: str, last_day: str) -> list[DailyUsage]:
        """What was settled with one provider, by day and model, in order; both days inclusive."""
        ...

    async def recent_calls(self, since_ns: int) -> list[RecentCall]:
        """Calls made since then, settled or open, oldest first: what providers may still count."""
        ...

    async def budget_accounts(self, now_s: int, tags: int = MAX_TAG_BUDGETS) -> list[Account]:
        """The counters whose period has not ended at `now_s` (since 1970), in order of their names.

        Those of periods that are past are not read, however many there are; of tags' there are the
        `tags` fullest.
        """
        ...

    async def accounts_of_keys(self) -> dict[str, Account]:
        """Each client key's own account, by the key's id and in order of it; revoked keys' too."""
        ...

    async def audit_ledger(self) -> list[LedgerDifference]:
        """Add all rows up again and return every counter that differs: none in a sound ledger."""
        ...
