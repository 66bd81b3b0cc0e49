"""Money held and spent: accounts in a tree, and the changes that move it. Integers of micro-dollars.

An account's `held` is money promised to work under way, `spent` is money gone. A reservation
raises `held` before the work; its settlement lowers `held` by the same amount and raises `spent`
by the true cost. A child account (a run's) has its whole limit held in its parent when it opens;
what its calls cost moves from the parent's `held` to the parent's `spent`, and closing it returns
the rest. So for every account at every commit: spent + held <= limit, and the sum of the ledger's
rows equals the counters.

The rules are the pure functions at the end; a store looks accounts up, asks a rule for the
accounts that change, and writes them.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, Protocol

from macroslow.errors import BudgetExhaustedError, ConflictError
from macroslow.metering.money import usd

MAX_COUNT: Final = 2**53 - 1
"""Largest amount, token count or counter: what every JSON reader holds exactly. Nine billion dollars."""

USAGE_GROUPS: Final = ("key", "principal", "team", "model", "provider", "tag", "day")
"""What spending can be grouped by."""

OUTCOMES: Final = ("ok", "refused", "aborted", "unknown")
"""How a call may have ended. Their order is stored: only append."""


@dataclass(frozen=True, slots=True)
class Account:
    """The state of one account. `limit_usd_micros` None means no budget of its own.

    A child without a limit holds in its parent just what it holds itself. A closed account
    takes no new reservations; what is under way in it still settles.
    """

    id: str
    parent: str | None
    limit_usd_micros: int | None
    spent_usd_micros: int
    held_usd_micros: int
    closed: bool = False


@dataclass(frozen=True, slots=True)
class Usage:
    """What one call used and cost."""

    input_tokens: int
    output_tokens: int
    usd_micros: int


@dataclass(frozen=True, slots=True)
class OpenAccount:
    """Create an account if it does not exist, else set its limit. A child holds its limit in its parent.

    Refused with BudgetExhaustedError if the parent has no room for the limit, with ConflictError
    if the account is closed or has another parent. A limit may be set below what is spent and
    held: then nothing more can be reserved.
    """

    id: str
    limit_usd_micros: int | None
    parent: str | None = None


@dataclass(frozen=True, slots=True)
class CloseAccount:
    """Close a child account: its parent's hold on what was not spent is lifted. Idempotent.

    What open reservations in it hold stays held in the parent until they are settled.
    """

    id: str


@dataclass(frozen=True, slots=True)
class Budget:
    """A limit on what is spent through one counter, besides the account that pays.

    The counter is the account `id` (say `tag/ci/day/2026-01-31`); it begins at nothing with the first
    reservation that names it. The limit comes with every reservation, so that whoever changes it in a
    configuration changes no money. `resets_s` is when the period ends (seconds since 1970), None: never.
    """

    id: str
    limit_usd_micros: int
    resets_s: int | None = None


@dataclass(frozen=True, slots=True)
class Reserve:
    """Hold `usd_micros` in `account`, and in every one of `budgets`, for one call: all or nothing.

    BudgetExhaustedError if it does not fit one of them, unless `enforced` is False: then it is held
    over the limit (an operator who only observes). An unknown account is NotFoundError, never a free
    pass; a closed one, or an `id` that was used before, is ConflictError. `team`, `tag` and `run_id`
    are empty when there is none. Ids that begin with their time keep a store's index of them quick;
    random ones work as well. `owner` is the process that will settle it; it is dead, or past
    `expires_ns`, before anybody else may.
    """

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
    team: str = ""
    budgets: tuple[Budget, ...] = ()
    owner: str = ""
    expires_ns: int = 0
    enforced: bool = True


@dataclass(frozen=True, slots=True)
class Settle:
    """Turn a reservation into its true cost. Idempotent by id: the first settlement stands.

    A cost above the reservation is booked as it is (and is a defect of the estimate). NotFoundError
    if nothing was reserved under `id`.
    """

    id: str
    usage: Usage
    settled_ns: int
    outcome: str  # "ok", "refused" (nothing owed), "aborted", "unknown" (crash: charged in full)


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
    created_ns: int = 0
    owner: str = ""
    expires_ns: int = 0


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

    async def budget_accounts(self) -> list[Account]:
        """The counters of all budgets that are no key's account, in order of their names."""
        ...

    async def audit_ledger(self) -> list[LedgerDifference]:
        """Add all rows up again and return every counter that differs: none in a sound ledger."""
        ...


def bounded(count: int) -> int:
    """Return `count`, or raise ValueError unless it is an integer in 0..MAX_COUNT."""
    if type(count) is not int or not 0 <= count <= MAX_COUNT:
        raise ValueError(f"{count!r} is not an integer in 0..{MAX_COUNT}")
    return count


def share(account: Account) -> int:
    """Return what a parent holds for this child: its limit that is not spent, until it is closed.

    Never less than the child holds itself, so that an overrun or a late settlement is covered.
    """
    if account.closed or account.limit_usd_micros is None:
        return account.held_usd_micros
    return max(account.limit_usd_micros - account.spent_usd_micros, account.held_usd_micros)


def ripple(
    before: Account, after: Account, parent_of: Callable[[str], Account], *, refuse: bool
) -> list[Account]:
    """Return every account that changes when one does: itself, then its ancestors.

    With `refuse`, an ancestor that has no room raises BudgetExhaustedError (or ConflictError if
    closed); without, it is booked over its limit.
    """
    changed = [after]
    while after.parent is not None:
        spent = after.spent_usd_micros - before.spent_usd_micros
        held = share(after) - share(before)
        if not spent and not held:
            break
        before = parent_of(after.parent)
        if refuse and held > 0:
            require_room(before, held)
        after = _moved(before, spent=spent, held=held)
        changed.append(after)
    return changed


def opened(before: Account | None, change: OpenAccount, parent_of: Callable[[str], Account]) -> list[Account]:
    """Return the accounts that change when `change` creates an account or sets its limit."""
    if change.limit_usd_micros is not None:
        bounded(change.limit_usd_micros)
    if before is None:
        before = Account(change.id, change.parent, None, 0, 0)
        if change.parent is not None:
            require_room(parent_of(change.parent), 0)
    if before.closed:
        raise ConflictError(f"account {change.id} is closed")
    if before.parent != change.parent:
        raise ConflictError(f"account {change.id} has another parent")
    after = replace(before, limit_usd_micros=change.limit_usd_micros)
    return ripple(before, after, parent_of, refuse=True)


def closed(before: Account, parent_of: Callable[[str], Account]) -> list[Account]:
    """Return the accounts that change when `before` is closed."""
    return ripple(before, replace(before, closed=True), parent_of, refuse=False)


def reserved(before: Account, usd_micros: int, parent_of: Callable[[str], Account]) -> list[Account]:
    """Return the accounts that change when `usd_micros` are held; raises if they have no room."""
    require_room(before, bounded(usd_micros))
    return ripple(before, _moved(before, spent=0, held=usd_micros), parent_of, refuse=True)


def settled(
    before: Account, held_usd_micros: int, spent_usd_micros: int, parent_of: Callable[[str], Account]
) -> list[Account]:
    """Return the accounts that change when a reservation ends at its true cost. Never refused."""
    after = _moved(before, spent=bounded(spent_usd_micros), held=-held_usd_micros)
    return ripple(before, after, parent_of, refuse=False)


def require_room(account: Account, needed_usd_micros: int) -> None:
    """Raise unless `account` is open (ConflictError) and has room (BudgetExhaustedError)."""
    if account.closed:
        raise ConflictError(f"account {account.id} is closed")
    limit, spent, held = account.limit_usd_micros, account.spent_usd_micros, account.held_usd_micros
    if limit is None or spent + held + needed_usd_micros <= limit:
        return
    waiting = "wait for work under way, " if held else ""
    raise BudgetExhaustedError(
        f"Budget {account.id}: ${usd(needed_usd_micros)} needed; of ${usd(limit)}"
        f" ${usd(spent)} are spent and ${usd(held)} held by work under way.",
        budget=account.id,
        limit_usd_micros=limit,
        spent_usd_micros=spent,
        held_usd_micros=held,
        needed_usd_micros=needed_usd_micros,
        fix=f"{waiting}ask for less, or use a key with a larger budget",
    )


def _moved(account: Account, *, spent: int, held: int) -> Account:
    return Account(
        account.id,
        account.parent,
        account.limit_usd_micros,
        bounded(account.spent_usd_micros + spent),
        bounded(account.held_usd_micros + held),
        account.closed,
    )
