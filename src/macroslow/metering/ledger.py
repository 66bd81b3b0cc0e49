"""Money held and spent: accounts in a tree, and the changes that move it. Integers of micro-dollars.

An account's `held` is money promised to work under way, `spent` is money gone. A reservation
raises `held` before the work; its settlement lowers `held` by the same amount and raises `spent`
by the true cost. A child account (a run's) has its whole limit held in its parent when it opens;
what its calls cost moves from the parent's `held` to the parent's `spent`, and closing it returns
the rest. So for every account at every commit: spent + held <= limit, and the sum of the ledger's
rows equals the counters.
"""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Account:
    """The state of one account. `limit_usd_micros` None means no budget of its own."""

    id: str
    parent: str | None
    limit_usd_micros: int | None
    spent_usd_micros: int
    held_usd_micros: int


@dataclass(frozen=True, slots=True)
class Usage:
    """What one call used and cost."""

    input_tokens: int
    output_tokens: int
    usd_micros: int


@dataclass(frozen=True, slots=True)
class OpenAccount:
    """Create an account if it does not exist, else set its limit. A child holds its limit in its parent.

    Refused with BudgetExhaustedError if the parent has no room for the limit.
    """

    id: str
    limit_usd_micros: int | None
    parent: str | None = None


@dataclass(frozen=True, slots=True)
class CloseAccount:
    """Close a child account: its parent's hold on what was not spent is lifted. Idempotent."""

    id: str


@dataclass(frozen=True, slots=True)
class Reserve:
    """Hold `usd_micros` in `account` for one call. BudgetExhaustedError if it does not fit."""

    id: str
    account: str
    usd_micros: int
    principal: str
    key_id: str
    provider: str
    model: str
    created_ns: int
    tag: str = ""
    run_id: str = ""


@dataclass(frozen=True, slots=True)
class Settle:
    """Turn a reservation into its true cost. Idempotent by id: the first settlement stands.

    A cost above the reservation is booked as it is (and is a defect of the estimate).
    """

    id: str
    usage: Usage
    settled_ns: int
    outcome: str  # "ok", "refused" (nothing owed), "aborted", "unknown" (crash: charged in full)


@dataclass(frozen=True, slots=True)
class OpenReservation:
    """A reservation that nobody has settled yet, as found after a crash."""

    id: str
    account: str
    usd_micros: int
    principal: str
    key_id: str
    provider: str
    model: str
    tag: str
    run_id: str


@dataclass(frozen=True, slots=True)
class UsageRow:
    """One line of the usage report: what one `key` of the grouping used."""

    key: str
    calls: int
    input_tokens: int
    output_tokens: int
    usd_micros: int
    held_usd_micros: int
    limit_usd_micros: int | None


class LedgerReader(Protocol):
    """Reading the ledger. Values are those of the last commit."""

    async def account(self, account_id: str) -> Account | None: ...

    async def open_reservations(self) -> list[OpenReservation]: ...

    async def open_child_accounts(self) -> list[Account]: ...

    async def usage(self, by: str, *, principal: str | None = None) -> list[UsageRow]:
        """Group by "key", "principal", "model", "tag" or "day" (UTC); ValueError for another word."""
        ...
