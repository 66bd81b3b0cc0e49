"""Accounts and calls, as a batch changes them. The rules are those of `metering.accounts`."""

from collections.abc import Iterable
from dataclasses import replace

from macroslow.adapters.postgres._state import Call, Settlement, Tables
from macroslow.errors import ConflictError, NotFoundError
from macroslow.metering.accounts import bounded_counts, closed, opened, reserved, settled
from macroslow.metering.ledger import OUTCOMES, Account, CloseAccount, OpenAccount, Reserve, Settle
from macroslow.ports import DAY_NS


class Ledger:
    """The `accounts`, `calls` and `totals` of one batch."""

    def __init__(self, state: Tables) -> None:
        self._state = state

    def open_account(self, change: OpenAccount) -> None:
        self._put(opened(self._state.accounts.get(change.id), change, self._account))

    def close_account(self, change: CloseAccount) -> None:
        self._put(closed(self._account(change.id), self._account))

    def reserve(self, change: Reserve) -> None:
        if self._state.calls.get(change.id) is not None:
            raise ConflictError(f"the reservation {change.id} was made before", step="reserve")
        accounts = self._state.accounts
        self._put(reserved(self._account(change.account), change, self._account, accounts.get))
        names = (change.principal, change.key_id, change.team, change.provider)
        more = (change.model, change.tag, change.run_id, change.owner)
        call = Call(
            account=change.account,
            budgets=tuple(budget.id for budget in change.budgets),
            usd_micros=change.usd_micros,
            created_ns=change.created_ns,
            expires_ns=change.expires_ns,
            labels=tuple(self._state.number(name) for name in (*names, *more)),
        )
        self._state.calls.put(change.id, call)

    def settle(self, change: Settle) -> None:
        usage = change.usage
        settlement: Settlement = (
            change.settled_ns,
            OUTCOMES.index(change.outcome),
            *bounded_counts(usage),
        )
        call = self._state.calls.get(change.id)
        if call is None:
            raise NotFoundError(f"nothing was reserved under {change.id}", step="settle")
        if call.settlement is not None:
            if change.once:
                raise ConflictError(f"the reservation {change.id} was settled before", step="settle")
            return
        counters = [self._account(budget) for budget in call.budgets]
        before = self._account(call.account)
        self._put(settled(before, counters, call.usd_micros, usage.usd_micros, self._account))
        self._state.calls.put(change.id, replace(call, settlement=settlement))

    def _put(self, accounts: Iterable[Account]) -> None:
        for account in accounts:
            self._state.number(account.id)
            self._state.accounts.put(account.id, account)

    def _account(self, account_id: str) -> Account:
        account = self._state.accounts.get(account_id)
        if account is None:
            raise NotFoundError(f"there is no account {account_id}", step="reserve")
        return account


def totals(state: Tables) -> list[tuple[int, ...]]:
    """Add the calls up that the batch settled: day and labels, then what to add, once for each total."""
    sums: dict[tuple[int, ...], list[int]] = {}
    for _, call in state.calls.written():
        if call.settlement is None:
            continue
        settled_ns, _, input_tokens, output_tokens, usd_micros = call.settlement
        principal, key, team, provider, model, tag, *_ = call.labels
        label = (settled_ns // DAY_NS, key, principal, team, provider, model, tag)
        counts = sums.setdefault(label, [0, 0, 0, 0])
        for at, count in enumerate((1, input_tokens, output_tokens, usd_micros)):
            counts[at] += count
    return [(*label, *counts) for label, counts in sums.items()]
