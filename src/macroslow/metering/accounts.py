"""The rules by which money moves between accounts: pure functions from accounts to accounts.

A store looks accounts up, asks a rule for the accounts that change, and writes them: all of them, or
none if the rule raises. Which values there are, and what they mean, is said in `metering.ledger`.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from macroslow.errors import BudgetExhaustedError, ConflictError
from macroslow.metering.ledger import MAX_COUNT, Account, Budget, OpenAccount, Reserve, Usage
from macroslow.metering.money import usd

AccountOf = Callable[[str], Account]
"""Looks up an account that must be there; NotFoundError if it is not."""

Check = Callable[[Account, int], None]
"""Looks at an account before it holds so many micro-dollars more; raises to refuse."""


def bounded(count: int) -> int:
    """Return `count`, or raise ValueError unless it is an integer in 0..MAX_COUNT."""
    if type(count) is not int or not 0 <= count <= MAX_COUNT:
        raise ValueError(f"{count!r} is not an integer in 0..{MAX_COUNT}")
    return count


def bounded_counts(usage: Usage) -> tuple[int, int, int]:
    """Return input tokens, output tokens and micro-dollars, each `bounded`."""
    return bounded(usage.input_tokens), bounded(usage.output_tokens), bounded(usage.usd_micros)


def share(account: Account) -> int:
    """Return what a parent holds for this child: its limit that is not spent, until it is closed.

    Never less than the child holds itself, so that an overrun or a late settlement is covered.
    """
    if account.closed or account.limit_usd_micros is None:
        return account.held_usd_micros
    return max(account.limit_usd_micros - account.spent_usd_micros, account.held_usd_micros)


def ripple(before: Account, after: Account, parent_of: AccountOf, refuse: Check | None) -> list[Account]:
    """Return every account that changes when one does: itself, then its ancestors.

    `refuse` looks at each ancestor that would hold more, and may raise; without, it is booked over
    its limit.
    """
    changed = [after]
    while after.parent is not None:
        spent = after.spent_usd_micros - before.spent_usd_micros
        held = share(after) - share(before)
        if not spent and not held:
            break
        before = parent_of(after.parent)
        if refuse is not None and held > 0:
            refuse(before, held)
        after = _moved(before, spent, held)
        changed.append(after)
    return changed


def opened(before: Account | None, change: OpenAccount, parent_of: AccountOf) -> list[Account]:
    """Return the accounts that change when `change` creates an account or sets its limit."""
    refuse = require_room if change.enforced else require_open
    if change.limit_usd_micros is not None:
        bounded(change.limit_usd_micros)
    if before is None:
        before = Account(change.id, change.parent, None, 0, 0)
        if change.parent is not None:
            refuse(parent_of(change.parent), 0)
    require_open(before, 0)
    if before.parent != change.parent:
        raise ConflictError(f"account {change.id} has another parent")
    after = replace(before, limit_usd_micros=change.limit_usd_micros)
    return ripple(before, after, parent_of, refuse)


def closed(before: Account, parent_of: AccountOf) -> list[Account]:
    """Return the accounts that change when `before` is closed."""
    if before.counter:
        raise _unfit(before)
    return ripple(before, replace(before, closed=True), parent_of, None)


def reserved(
    before: Account,
    change: Reserve,
    parent_of: AccountOf,
    counter_of: Callable[[str], Account | None],
) -> list[Account]:
    """Return the accounts that change when `change` is held in `before`; raises if one has no room.

    `counter_of` knows the account of a budget's name, None: there is none yet.
    """
    refuse = require_room if change.enforced else require_open
    usd_micros = bounded(change.usd_micros)
    refuse(before, usd_micros)
    changed = ripple(before, _moved(before, 0, usd_micros), parent_of, refuse)
    if change.budgets:
        if len({budget.id for budget in change.budgets}) != len(change.budgets):
            raise ValueError("a reservation names a budget twice")
        changed += [counted(counter_of(budget.id), budget, change) for budget in change.budgets]
    return changed


def counted(before: Account | None, budget: Budget, change: Reserve) -> Account:
    """Return the budget's counter with the reservation held; `before` None: it is the first."""
    limit = bounded(budget.limit_usd_micros)
    if before is None:
        resets_s = None if budget.resets_s is None else bounded(budget.resets_s)
        before = Account(budget.id, None, limit, 0, 0, counter=True, resets_s=resets_s)
    elif not before.counter:
        raise ConflictError(f"{budget.id} is an account, not the counter of a budget")
    spent, held = before.spent_usd_micros, before.held_usd_micros + change.usd_micros
    if change.enforced and spent + held > limit:
        raise _exhausted(before, limit, change.usd_micros, budget.resets_s)
    return Account(budget.id, None, limit, spent, bounded(held), counter=True, resets_s=before.resets_s)


def settled(
    before: Account,
    counters: Sequence[Account],
    held_usd_micros: int,
    spent_usd_micros: int,
    parent_of: AccountOf,
) -> list[Account]:
    """Return the accounts that change when a reservation ends at its true cost. Never refused.

    `counters` are those of the budgets that it was held in.
    """
    spent = bounded(spent_usd_micros)
    changed = ripple(before, _moved(before, spent, -held_usd_micros), parent_of, None)
    for counter in counters:
        changed.append(_moved(counter, spent, -held_usd_micros))
    return changed


def require_open(account: Account, _needed_usd_micros: int) -> None:
    """Raise ConflictError if `account` is closed, or the counter of a budget."""
    if account.closed or account.counter:
        raise _unfit(account)


def require_room(account: Account, needed_usd_micros: int) -> None:
    """Raise unless `account` is an open one (ConflictError) and has room (BudgetExhaustedError)."""
    require_open(account, needed_usd_micros)
    limit = account.limit_usd_micros
    if limit is not None and account.spent_usd_micros + account.held_usd_micros + needed_usd_micros > limit:
        raise _exhausted(account, limit, needed_usd_micros, None)


def _exhausted(account: Account, limit: int, needed: int, resets_s: int | None) -> BudgetExhaustedError:
    spent, held = account.spent_usd_micros, account.held_usd_micros
    return BudgetExhaustedError(
        f"Budget {account.id}: ${usd(needed)} needed; of ${usd(limit)}"
        f" ${usd(spent)} are spent and ${usd(held)} held by work under way.",
        budget=account.id,
        limit_usd_micros=limit,
        spent_usd_micros=spent,
        held_usd_micros=held,
        needed_usd_micros=needed,
        resets_s=resets_s,
        fix=_fix(account, limit, needed, resets_s),
    )


def _fix(account: Account, limit: int, needed: int, resets_s: int | None) -> str:
    """What would help: waiting only where time brings room, a new period only if the call fits one."""
    ways = []
    if account.held_usd_micros and account.spent_usd_micros + needed <= limit:
        ways.append("wait for work under way")
    ways.append("ask for less")
    if resets_s is not None and needed <= limit:
        resets = datetime.fromtimestamp(resets_s, UTC)
        ways.append(f"wait until the budget resets at {resets:%Y-%m-%d %H:%M} UTC")
    elif account.counter:
        ways.append("have the budget raised")
    else:
        ways.append("use a key with a larger budget")
    return f"{', '.join(ways[:-1])}, or {ways[-1]}"


def _unfit(account: Account) -> ConflictError:
    if account.counter:
        return ConflictError(f"{account.id} is the counter of a budget, not an account")
    return ConflictError(f"account {account.id} is closed")


def _moved(account: Account, more_spent: int, more_held: int) -> Account:
    return Account(
        account.id,
        account.parent,
        account.limit_usd_micros,
        bounded(account.spent_usd_micros + more_spent),
        bounded(account.held_usd_micros + more_held),
        account.closed,
        account.counter,
        account.resets_s,
    )
